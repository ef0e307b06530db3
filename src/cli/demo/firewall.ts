import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { programEnvironment } from '../../config.ts';
import { TerminalError } from '../../model/errors.ts';
import { namespaceName } from '../../providers/netns/names.ts';
import { initOf } from '../../providers/netns/processes.ts';
import type { RestClient } from '../rest-client.ts';

const execute = promisify(execFile);

/** The rules in force in the amphora of a load balancer, as nft prints them. */
export async function readFirewall(api: RestClient, loadBalancerId: string): Promise<string> {
  const path = `/v2.0/octavia/amphorae?loadbalancer_id=${loadBalancerId}`;
  const { amphorae } = await api.call<{ amphorae: { id: string }[] }>('GET', path);
  const init = amphorae[0] && initOf(namespaceName(amphorae[0].id));
  if (init === undefined)
    throw new TerminalError('no_amphora', 'the amphora of the load balancer is not running');
  const enter = ['--target', String(init), '--mount', '--pid', '--net'];
  const { stdout } = await execute(
    'nsenter',
    [...enter, 'ip', 'netns', 'exec', 'amphora-haproxy', 'nft', 'list', 'ruleset'],
    { env: programEnvironment(), timeout: 10_000 },
  );
  return stdout.trimEnd();
}
