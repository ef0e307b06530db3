import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, programEnvironment } from '../config.ts';
import { TerminalError } from '../model/errors.ts';
import type { Command, Invocation } from './command.ts';
import { readFirewall } from './demo/firewall.ts';
import { Namespace } from './demo/namespace.ts';
import { Progress } from './demo/progress.ts';
import { recordNamespaces } from './demo/remains.ts';
import * as scenario from './demo/scenario.ts';
import { expectNoAnswer, sendRequests } from './demo/traffic.ts';
import { takeDown } from './down.ts';
import { RestClient } from './rest-client.ts';
import { terminationSignal } from './termination.ts';
import { freeAddress } from './up/address.ts';
import { startUp } from './up/background.ts';

const REQUESTS = 20;

export const command: Command = {
  description:
    'Makes a network, two backends, an SR-IOV flavor and a load balancer with it; sends requests through its VIP; shows\n' +
    'the firewall that protects it. Removes all of that again, also when it fails or is interrupted.',
  settings: ['listen', 'data_dir', 'netns_direct', 'log_level'],
  options: { keep: { type: 'boolean', description: 'Leave it running in the background.' } },
  async run(invocation) {
    const keep = invocation.options.keep === true;
    const config = await configOf(invocation);
    const progress = new Progress(process.stdout);
    // Asked again, it still cleans up: whoever presses Ctrl-C twice does not want links and namespaces left over.
    const signal = terminationSignal(() => {});
    let succeeded = false;
    try {
      await show(config, { keep, progress, signal });
      succeeded = true;
    } catch (error) {
      if (!signal.aborted) throw error;
      progress.line('interrupted');
    } finally {
      if (keep && succeeded) progress.line(`  remove it   bin/amphorae down --data-dir ${config.data_dir}\n`);
      else
        await progress.step(
          'all removed',
          () => takeDown(config, () => {}),
          () => '',
        );
    }
    return succeeded ? 0 : 1;
  },
};

/** A demo stays away from anything else on this host: a directory, an address and a management network of its own. */
async function configOf({ config, given }: Invocation): Promise<Config> {
  if (given.has('data_dir') && existsSync(config.data_dir) && readdirSync(config.data_dir).length > 0) {
    throw new TerminalError(
      'data_dir_not_empty',
      `${config.data_dir} is not empty; the demo removes its --data-dir at the end`,
    );
  }
  const id = randomBytes(2).toString('hex');
  return {
    ...config,
    provider: 'netns',
    database_url: '',
    nats_url: '',
    data_dir: given.has('data_dir') ? config.data_dir : mkdtempSync(join(tmpdir(), 'amphorae-demo-')),
    listen: given.has('listen')
      ? config.listen
      : await freeAddress(config.listen).catch(() => freeAddress('127.0.0.1:0')),
    netns_management_bridge: `amp-demo-${id}`,
    netns_management_cidr: `fd61:6d70:${id}::/64`,
  };
}

async function show(
  config: Config,
  { keep, progress, signal }: { keep: boolean; progress: Progress; signal: AbortSignal },
): Promise<void> {
  const deathSignal = keep ? 'none' : 'TERM';
  const up = await progress.step(
    'control plane',
    () => startUp(config, deathSignal, signal),
    ({ url }) => `PostgreSQL, nats-server, controller; REST API at ${url}`,
  );
  up.child.release();
  const api = new RestClient(up.url);

  const network = await progress.step(
    'network',
    () => scenario.createNetwork(api),
    ({ bridge }) => `${scenario.CIDR} on the bridge ${bridge}`,
  );
  const client = await progress.step(
    'client and backends',
    () => createMachines(config, network.bridge, deathSignal, signal),
    () =>
      `namespaces on that bridge: ${scenario.CLIENT}; ${scenario.BACKENDS.map(({ address }) => address).join(', ')}`,
  );
  const flavorId = await progress.step(
    'SR-IOV flavor',
    () => scenario.createFlavor(api),
    () => 'VIP and member ports are VFs, or stand-ins where this host has none',
  );
  const loadBalancer = await progress.step(
    'load balancer',
    async (note) => {
      const { id } = await scenario.createLoadBalancer(api, { network, flavorId });
      return scenario.untilActive(api, id, note, signal);
    },
    ({ vip_address }) => `ACTIVE, VIP ${vip_address}`,
  );

  const url = `http://${loadBalancer.vip_address}`;
  const answers = await progress.step(
    `${REQUESTS} requests`,
    (note) => sendRequests(client, `${url}/`, REQUESTS, note),
    (counts) =>
      [...counts]
        .sort()
        .map(([backend, count]) => `${backend} ${'█'.repeat(count)} ${count}`)
        .join('   '),
  );
  if (answers.size < scenario.BACKENDS.length) {
    throw new TerminalError(
      'not_balanced',
      `only ${[...answers.keys()].join(', ')} answered: the load was not balanced`,
    );
  }
  await progress.step(
    'closed port',
    () => expectNoAnswer(client, `${url}:81/`),
    () => 'no answer from port 81',
  );

  progress.heading('The firewall in the amphora (nft list ruleset)');
  progress.line(await readFirewall(api, loadBalancer.id));
  progress.heading('What to try next');
  progress.line(keep ? nextSteps(up.url, url, client.name) : `  ${rerunHint}`);
}

const rerunHint = 'npm run demo -- --keep   leaves it running, with the REST API to try';

function nextSteps(api: string, vip: string, client: string): string {
  return [
    `  REST API    ${api}/v2.0/lbaas/loadbalancers`,
    `  list them   curl ${api}/v2.0/lbaas/loadbalancers`,
    `  a request   ip netns exec ${client} curl ${vip}/`,
  ].join('\n');
}

/** Client and backends, each a namespace on the bridge. Resolves with the client. */
async function createMachines(
  config: Config,
  bridge: string,
  deathSignal: 'none' | 'TERM',
  signal: AbortSignal,
): Promise<Namespace> {
  const id = randomBytes(2).toString('hex');
  const nameOf = (role: string) => `demo-${id}-${role}`;
  recordNamespaces(config.data_dir, ['client', ...scenario.BACKENDS.map(({ name }) => name)].map(nameOf));
  const create = (role: string, address: string) => {
    signal.throwIfAborted();
    const addresses = [`${address}/24`];
    return Namespace.create({
      name: nameOf(role),
      bridge,
      addresses,
      env: programEnvironment(),
      deathSignal,
    });
  };
  for (const { name, address } of scenario.BACKENDS) {
    const backend = await create(name, address);
    const server = await backend.serve(80, name, join(config.data_dir, 'logs', 'backends.log'));
    server.release();
  }
  return create('client', scenario.CLIENT);
}
