import { randomUUID } from 'node:crypto';
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { RestClient } from '../src/cli/rest-client.ts';
import { type LoadBalancer, type System, startSystem } from '../test/support/system.ts';
import { commitFloor, namespaceFloor } from './floor.ts';
import { cpuMilliseconds } from './process-time.ts';
import { percentiles } from './statistics.ts';

/**
 * From a POST to an ACTIVE load balancer (listener, pool, two members, health monitor): one at a time, and fifty at once
 * by sixteen clients. `node bench/provisioning.ts [noop|netns] [rounds]` prints JSON. Times are in milliseconds. The
 * ratios are against a floor measured in the same run: what the parts cost with nobody in charge.
 */
const provider = process.argv[2] === 'netns' ? 'netns' : 'noop';
const rounds = Number(process.argv[3] ?? (provider === 'noop' ? 100 : 10));
const BURST = 50;
const CLIENTS = 16;
const POLL_MS = 4;

const system = await startSystem({ provider, settings: { netns_direct: 'auto' } });
const rest = new RestClient(system.url);
try {
  const subnetId = provider === 'noop' ? randomUUID() : await createNetwork(system);
  for (let warmUp = 0; warmUp < (provider === 'noop' ? 20 : 1); warmUp += 1)
    await remove(await create(subnetId));

  const floor = provider === 'noop' ? await commitFloor(system.config, rounds) : await namespaceFloor(rounds);
  const single = await oneAtATime(subnetId);
  const burst = await allAtOnce(subnetId);
  process.stdout.write(
    `${JSON.stringify(
      {
        benchmark: 'provisioning',
        provider,
        cpus: cpus().length,
        floor,
        one_at_a_time: { ...single, ratio_to_floor: round(single.active.p50 / floor.p50) },
        fifty_at_once: burst,
      },
      null,
      2,
    )}\n`,
  );
} finally {
  await system.stop();
}

async function oneAtATime(subnetId: string) {
  const answers: number[] = [];
  const actives: number[] = [];
  const cpuBefore = cpuMilliseconds(system.processes().values());
  for (let index = 0; index < rounds; index += 1) {
    const started = performance.now();
    const id = await post(subnetId);
    answers.push(performance.now() - started);
    await becomesActive(id);
    actives.push(performance.now() - started);
  }
  const cpu = cpuMilliseconds(system.processes().values()) - cpuBefore;
  return {
    load_balancers: rounds,
    answer: percentiles(answers),
    active: percentiles(actives),
    cpu_each: round(cpu / rounds),
  };
}

async function allAtOnce(subnetId: string) {
  const cpuBefore = cpuMilliseconds(system.processes().values());
  const started = performance.now();
  let left = BURST;
  const ids: string[] = [];
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (left > 0) {
        left -= 1;
        ids.push(await post(subnetId));
      }
    }),
  );
  const answered = performance.now() - started;
  for (const id of ids) await becomesActive(id);
  const all = performance.now() - started;
  const cpu = cpuMilliseconds(system.processes().values()) - cpuBefore;
  return {
    load_balancers: BURST,
    clients: CLIENTS,
    all_answered: round(answered),
    all_active: round(all),
    cpu_each: round(cpu / BURST),
  };
}

async function post(subnetId: string): Promise<string> {
  const { loadbalancer } = await rest.call<{ loadbalancer: { id: string } }>(
    'POST',
    '/v2.0/lbaas/loadbalancers',
    {
      loadbalancer: {
        vip_subnet_id: subnetId,
        listeners: [
          {
            protocol: 'HTTP',
            protocol_port: 80,
            default_pool: {
              name: 'pool',
              protocol: 'HTTP',
              lb_algorithm: 'ROUND_ROBIN',
              members: [
                { address: '203.0.113.11', protocol_port: 80 },
                { address: '203.0.113.12', protocol_port: 80 },
              ],
              healthmonitor: { type: 'HTTP', delay: 5, timeout: 3, max_retries: 2 },
            },
          },
        ],
      },
    },
  );
  return loadbalancer.id;
}

async function create(subnetId: string): Promise<string> {
  const id = await post(subnetId);
  await becomesActive(id);
  return id;
}

/** Asked often, because the answer is a figure; each question is a request that the control plane answers as well. */
async function becomesActive(id: string): Promise<void> {
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; await pause(POLL_MS)) {
    const { loadbalancer } = await rest.call<{ loadbalancer: LoadBalancer }>(
      'GET',
      `/v2.0/lbaas/loadbalancers/${id}`,
    );
    if (loadbalancer.provisioning_status === 'ACTIVE') return;
    if (loadbalancer.provisioning_status === 'ERROR') throw new Error(JSON.stringify(loadbalancer));
  }
  throw new Error(`load balancer ${id} is not ACTIVE after two minutes`);
}

async function remove(id: string): Promise<void> {
  await system.api('DELETE', `/v2.0/lbaas/loadbalancers/${id}?cascade=true`);
}

async function createNetwork({ api }: System): Promise<string> {
  const { subnet_id } = await api<{ subnet_id: string }>('POST', '/v2.0/amphorae/networks', {
    network: { name: 'bench', cidrs: [{ cidr: '198.51.100.0/24' }], vnic_types: ['normal', 'direct'] },
  });
  return subnet_id;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
