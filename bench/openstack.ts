import { setTimeout as pause } from 'node:timers/promises';
import { Operator } from '../test/openstack/cloud.ts';
import { startControlPlane, type TimedCall } from '../test/openstack/control-plane.ts';
import { percentiles, round } from './statistics.ts';

/**
 * What a load balancer costs a cloud: the calls that make it, with ordinary ports and with the VIP on VFs, alone and as a
 * pair, and our own time besides waiting for the cloud. Needs `test/openstack/stand/up`. `node bench/openstack.ts [rounds]`
 * prints JSON, times in milliseconds. A look at a server that boots is not counted: how many there are depends on the cloud.
 */
const rounds = Number(process.argv[2] ?? 3);
const operator = new Operator();
const vip = await operator.network({ physicalNetwork: 'physnet2', cidr: '10.60.0.0/24' });
const management = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.61.0.0/24' });
await operator.image(operator.name);
const plane = await startControlPlane({
  openstack_compute_flavor: await operator.computeFlavor(),
  openstack_image_tag: operator.name,
  openstack_management_networks: [management.networkId],
});
try {
  const kinds = await Promise.all(
    ['SINGLE', 'ACTIVE_STANDBY'].flatMap((loadbalancer_topology) =>
      ['normal', 'direct'].map(async (vnicType) => {
        const flavor_id = await plane.flavor({ loadbalancer_topology, sriov_vip: vnicType === 'direct' });
        return { name: `${loadbalancer_topology} ${vnicType}`, flavor_id };
      }),
    ),
  );
  await plane.housekept();
  // The first of each kind runs code for the first time; a controller runs for months.
  const first: Record<string, number> = {};
  for (const { name, flavor_id } of kinds) first[name] = (await measure(flavor_id)).our_own;
  const results: Record<string, object> = {};
  for (const { name, flavor_id } of kinds) {
    const measured: Measured[] = [];
    for (let index = 0; index < rounds; index += 1) measured.push(await measure(flavor_id));
    results[name] = {
      ...measured.at(-1),
      total: percentiles(measured.map(({ total }) => total)),
      our_own: percentiles(measured.map(({ our_own }) => our_own)),
      cpu: percentiles(measured.map(({ cpu }) => cpu)),
    };
  }
  process.stdout.write(
    `${JSON.stringify({ benchmark: 'openstack', our_own_of_the_first: first, ...results }, null, 2)}\n`,
  );
} finally {
  await plane.stop();
  await operator.close();
}

type Measured = Awaited<ReturnType<typeof measure>>;

async function measure(flavor_id: string) {
  const listeners = [{ protocol: 'HTTP', protocol_port: 80 }];
  const begin = performance.now();
  const cpu = process.cpuUsage();
  const first = plane.calls.length;
  const id = await createSlowly({ vip_subnet_id: vip.subnetId, flavor_id, listeners });
  const { user, system } = process.cpuUsage(cpu);
  const calls = plane.calls.slice(first);
  const end = await plane.settledAt(id);
  await plane.remove(id);
  const work = calls.filter((call) => !isLook(call));
  const waiting = covered([...calls.map(interval), ...boots(calls)]);
  return {
    calls: work.length,
    critical_path: chain(work).map(({ service, method, path }) => `${service} ${method} ${nameOf(path)}`),
    total: round(end - begin),
    waiting_for_the_cloud: round(waiting),
    our_own: round(end - begin - waiting),
    // Of this process, with the client and the looks at the server.
    cpu: round((user + system) / 1000),
  };
}

/** Create a load balancer, and look so seldom whether it is ACTIVE that it costs nothing. */
async function createSlowly(attributes: object): Promise<string> {
  type Answer = { loadbalancer: { id: string; provisioning_status: string } };
  const path = '/v2.0/lbaas/loadbalancers';
  let { loadbalancer } = await plane.api<Answer>('POST', path, { loadbalancer: attributes });
  while (loadbalancer.provisioning_status === 'PENDING_CREATE') {
    await pause(2_000);
    ({ loadbalancer } = await plane.api<Answer>('GET', `${path}/${loadbalancer.id}`));
  }
  const { id, provisioning_status } = loadbalancer;
  if (provisioning_status !== 'ACTIVE') throw new Error(`load balancer ${id} is ${provisioning_status}`);
  return id;
}

function isLook({ service, method, path }: TimedCall): boolean {
  return service === 'nova' && method === 'GET' && /^\/servers\/[0-9a-f-]+$/.test(path);
}

type Interval = [from: number, to: number];
function interval({ endedAt, milliseconds }: TimedCall): Interval {
  return [endedAt - milliseconds, endedAt];
}

/** From the request for a server to the look that found it running: Nova's time, although we only look now and then. */
function boots(calls: TimedCall[]): Interval[] {
  const looks = calls.filter(isLook);
  return [...new Set(looks.map(({ path }) => path))].map((path) => {
    const mine = looks.filter((look) => look.path === path).map(({ endedAt }) => endedAt);
    return [Math.min(...mine), Math.max(...mine)];
  });
}

/** Milliseconds that at least one of them covers. */
function covered(intervals: Interval[]): number {
  let sum = 0;
  let reached = Number.NEGATIVE_INFINITY;
  for (const [from, to] of intervals.sort((one, other) => one[0] - other[0])) {
    sum += Math.max(0, to - Math.max(from, reached));
    reached = Math.max(reached, to);
  }
  return sum;
}

/** The calls that waited for each other: each with the last that had ended when it began. */
function chain(calls: TimedCall[]): TimedCall[] {
  const path: TimedCall[] = [];
  let next = calls.toSorted((one, other) => other.endedAt - one.endedAt)[0];
  while (next) {
    const current = next;
    path.unshift(current);
    next = calls
      .filter(({ endedAt }) => endedAt <= interval(current)[0])
      .toSorted((one, other) => other.endedAt - one.endedAt)[0];
  }
  return path;
}

function nameOf(path: string): string {
  return path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '{id}');
}
