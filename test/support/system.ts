import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeDown } from '../../src/cli/down.ts';
import { RestClient } from '../../src/cli/rest-client.ts';
import { freeAddress } from '../../src/cli/up/address.ts';
import { startUp } from '../../src/cli/up/background.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { type Config, loadConfig } from '../../src/config.ts';

export interface SystemOptions {
  provider: Config['provider'];
  /** Controller processes; the first one answers the API. */
  nodes?: number;
  settings?: Partial<Config>;
}

/** A whole `amphorae up` with a data directory, an address and a management network of its own. */
export interface System {
  /** Where the REST API answers. */
  readonly url: string;
  readonly dataDir: string;
  readonly config: Config;
  /** Call the REST API; rejects with its fault for a status of 400 and above. */
  api: RestClient['call'];
  /** Wait until a load balancer has one of these provisioning statuses; resolves with it. */
  waitFor(loadBalancerId: string, statuses: string[], milliseconds: number): Promise<LoadBalancer>;
  /** Send a signal to the controller process `node-<number>`; its supervisor starts it again when it dies. */
  killController(number: number, signal: NodeJS.Signals): void;
  /** Process ids of what `up` runs, by name: `postgres`, `nats-server`, `node-1`, ... */
  processes(): Map<string, number>;
  /** Process id of `up` itself. */
  readonly supervisor: number;
  /** Kill the supervisor, and with it everything but the amphorae, without any chance to clean up. */
  crash(): Promise<void>;
  /** End `up` as an operator would, leaving amphorae and data. */
  halt(): Promise<void>;
  /** Bring it up again on the same data directory and address after `crash` or `halt`. */
  restart(): Promise<void>;
  /** Remove everything with `amphorae down`. Call it also after failure. */
  stop(): Promise<void>;
}

export interface LoadBalancer {
  id: string;
  provisioning_status: string;
  operating_status: string;
  vip_address: string;
  [attribute: string]: unknown;
}

/** Bring up a system for one test file. It ends with the test's process at the latest; its amphorae need `stop`. */
export async function startSystem({ provider, nodes = 1, settings = {} }: SystemOptions): Promise<System> {
  const id = process.pid.toString(16).padStart(4, '0').slice(-4);
  const defaults = loadConfig({}, {});
  const config: Config = {
    ...defaults,
    provider,
    nodes,
    data_dir: mkdtempSync(join(tmpdir(), 'amphorae-test-')),
    listen: await stableAddress(),
    netns_management_bridge: `amp-t${id}`,
    netns_management_cidr: `fd61:6d70:7e57:${id}::/64`,
    netns_bridge_prefix: 'ampt',
    ...settings,
  };
  let up: Awaited<ReturnType<typeof startUp>>;
  try {
    up = await startUp(config, 'KILL');
  } catch (error) {
    await takeDown(config, () => {});
    throw error;
  }
  const { url } = up;
  const api = new RestClient(url);

  const processes = () => new Map(childrenOf(up.child.pid).map((pid) => [nameOf(pid), pid]));
  return {
    url,
    dataDir: config.data_dir,
    config,
    api: (method, path, body) => api.call(method, path, body),
    processes,
    get supervisor() {
      return up.child.pid;
    },
    waitFor: (loadBalancerId, statuses, milliseconds) =>
      untilStatus(api, loadBalancerId, statuses, milliseconds),
    killController(number, signal) {
      const pid = processes().get(`node-${number}`);
      if (pid === undefined) throw new Error(`controller node-${number} is not running`);
      process.kill(pid, signal);
    },
    crash: () => up.child.stop('SIGKILL', 0),
    halt: () => up.child.stop('SIGTERM', 60),
    async restart() {
      // A process that was killed is gone a moment before its sockets are.
      await waitFor('the address to be free again', 5, () => freeAddress(config.listen));
      up = await startUp(config, 'KILL');
    },
    stop: () => takeDown(config, () => {}),
  };
}

/** Below the range that the kernel gives out by itself, so that nobody takes it between a crash and a restart. */
function stableAddress(): Promise<string> {
  return waitFor('a free port', 5, () => freeAddress(`127.0.0.1:${randomInt(12_000, 30_000)}`));
}

async function untilStatus(
  api: RestClient,
  id: string,
  statuses: string[],
  milliseconds: number,
): Promise<LoadBalancer> {
  let last = 'nothing';
  return waitFor(`load balancer ${id} to be ${statuses.join(' or ')}`, milliseconds / 1000, async () => {
    const path = `/v2.0/lbaas/loadbalancers/${id}`;
    const { loadbalancer } = await api.call<{ loadbalancer: LoadBalancer }>('GET', path);
    last = loadbalancer.provisioning_status;
    return statuses.includes(last) ? loadbalancer : undefined;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; last seen: ${last}`);
  });
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

function nameOf(pid: number): string {
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
  const node = /(?:^|\0)AMPHORAE_NODE_ID=([^\0]+)/.exec(environment)?.[1];
  return node ?? readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}
