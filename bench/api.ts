import { randomUUID } from 'node:crypto';
import { request } from 'undici';
import { privatePostgres } from '../src/cli/up/supervisor.ts';
import { openDatabase } from '../src/store/database.ts';
import { type LoadBalancer, startSystem } from '../test/support/system.ts';
import { startBareApi } from './bare-api.ts';
import { cpuMilliseconds } from './process-time.ts';
import { hammer, type Load, timed } from './requests.ts';
import { seedLoadBalancers } from './seed.ts';
import { percentiles, round } from './statistics.ts';
import { untilActive } from './until-active.ts';

/**
 * Requests to the REST API with the noop provider: reads among 500 load balancers, the largest tree that people make, and
 * every kind of change until it is ACTIVE; then the reads again among 50,000. Times are in milliseconds; ratios are to a
 * handler that only selects one row, in the same run. `node bench/api.ts [rounds]` prints JSON.
 */
const rounds = Number(process.argv[2] ?? 50);
const [FEW, MANY] = [500, 50_000];
const LOAD: Load = { connections: 16, windows: 5, windowMs: 2_000 };
/** A controller runs for months; it takes seconds under load until V8 has compiled what answers requests. */
const WARM_UP: Load = { ...LOAD, windows: 1, windowMs: 8_000 };
const base = '/v2.0/lbaas';

const system = await startSystem({ provider: 'noop' });
const { pool, close } = openDatabase(privatePostgres(system.config).url, {
  maxConnections: 2,
  applicationName: 'bench',
});
const bare = await startBareApi(privatePostgres(system.config).url);
try {
  const ids = await seedLoadBalancers(pool, system.config.default_project, FEW);
  const few = await reads(ids);
  const changes = await childChanges();
  const tree = await largeTree();
  ids.push(...(await seedLoadBalancers(pool, 'another project', MANY - FEW)));
  const many = await reads(ids);
  const result = {
    benchmark: 'api',
    reads: { [FEW]: few, [MANY]: many },
    changes_until_active: changes,
    tree,
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
  await bare.stop();
  await close();
  await system.stop();
}

async function reads(ids: string[]) {
  const one = (index: number) => `${base}/loadbalancers/${ids[(index * 7919) % ids.length]}`;
  const some = ids.slice(0, 5_000);
  const [barePaths, paths] = [some.map((id) => `/${id}`), some.map((id) => `${base}/loadbalancers/${id}`)];
  await hammer(bare.url, barePaths, WARM_UP);
  const [warmUp] = (await hammer(system.url, paths, WARM_UP)).windows;
  const floor = percentiles(await timed(rounds * 4, (index) => get(`/${ids[index % ids.length]}`, bare.url)));
  const show = percentiles(await timed(rounds * 4, (index) => get(one(index))));
  const limit = await hammer(bare.url, barePaths, LOAD);
  const cpuBefore = cpuMilliseconds(system.processes().values());
  const load = await hammer(system.url, paths, LOAD);
  const cpu = cpuMilliseconds(system.processes().values()) - cpuBefore;
  return {
    warm_up: warmUp,
    floor: { show: floor, at_16_connections: limit },
    show: { ...show, ratio_to_floor: round(show.p50 / floor.p50) },
    at_16_connections: {
      ...load,
      cpu_each: round(cpu / load.requests),
      ratio_to_floor: round(load.requests_per_second / limit.requests_per_second),
    },
    list_of_500: percentiles(await timed(rounds, () => get(`${base}/loadbalancers?limit=${FEW}`))),
    page_of_50: percentiles(
      await timed(rounds, (index) => get(`${base}/loadbalancers?limit=50&marker=${ids[index * 3]}`)),
    ),
  };
}

/** Each kind of change to a load balancer that has one of everything, from the request until it is ACTIVE again. */
async function childChanges() {
  const id = await create({ vip_subnet_id: randomUUID() });
  const listener = await add('listeners', 'listener', listenerOf(id, 79));
  /** Each gets a health monitor later. */
  const pools: string[] = [];
  const kinds: Record<string, (index: number) => Promise<unknown>> = {
    listener: (index) => add('listeners', 'listener', listenerOf(id, 1000 + index)),
    pool: async () => {
      const attributes = { loadbalancer_id: id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
      pools.push(await add('pools', 'pool', attributes));
    },
    member: (index) =>
      post(`/pools/${pools[0]}/members`, { member: { address: '203.0.113.7', protocol_port: 1 + index } }),
    health_monitor: (index) =>
      post('/healthmonitors', {
        healthmonitor: { pool_id: pools[index], type: 'TCP', delay: 5, timeout: 3, max_retries: 2 },
      }),
    l7policy: () => post('/l7policies', { l7policy: { listener_id: listener, action: 'REJECT' } }),
  };
  const result: Record<string, object> = {};
  for (const [kind, change] of Object.entries(kinds)) {
    const times: number[] = [];
    for (let index = 0; index < rounds; index += 1) {
      await untilActive(pool, id);
      const started = performance.now();
      await change(index);
      await untilActive(pool, id);
      times.push(performance.now() - started);
    }
    result[kind] = percentiles(times);
  }
  return result;
}

/** 25 listeners with a pool each and 50 members in one request, then one more member, and reading it. */
async function largeTree() {
  const listeners = Array.from({ length: 25 }, (_, index) => ({
    protocol: 'HTTP',
    protocol_port: 80 + index,
    default_pool: {
      name: `pool ${index}`,
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
      members: [1, 2].map((n) => ({ address: `203.0.113.${n}`, protocol_port: 80 })),
    },
  }));
  const few = Math.ceil(rounds / 5);
  let id = '';
  const made = await timed(few, async () => {
    id = await create({ vip_subnet_id: randomUUID(), listeners });
  });
  const { loadbalancer } = (await get(`${base}/loadbalancers/${id}`)) as { loadbalancer: LoadBalancer };
  const [first] = loadbalancer.pools as { id: string }[];
  const member = await timed(few, async (index) => {
    await post(`/pools/${first?.id}/members`, {
      member: { address: '203.0.113.9', protocol_port: 1 + index },
    });
    await untilActive(pool, id);
  });
  const show = await timed(rounds, () => get(`${base}/loadbalancers/${id}`));
  return {
    created_until_active: percentiles(made),
    one_more_member_until_active: percentiles(member),
    show: percentiles(show),
    status: percentiles(await timed(rounds, () => get(`${base}/loadbalancers/${id}/status`))),
  };
}

function listenerOf(loadBalancerId: string, port: number) {
  return { loadbalancer_id: loadBalancerId, protocol: 'HTTP', protocol_port: port };
}

async function create(attributes: object): Promise<string> {
  const id = await add('loadbalancers', 'loadbalancer', attributes);
  await untilActive(pool, id);
  return id;
}

async function add(path: string, root: string, attributes: object): Promise<string> {
  const answer = await post(`/${path}`, { [root]: attributes });
  return answer[root]?.id ?? '';
}

async function get(path: string, url = system.url): Promise<unknown> {
  const { statusCode, body } = await request(`${url}${path}`);
  if (statusCode !== 200) throw new Error(`GET ${path}: ${statusCode} ${await body.text()}`);
  return body.json();
}

async function post(path: string, body: object): Promise<Record<string, { id: string }>> {
  return system.api('POST', `${base}${path}`, body);
}
