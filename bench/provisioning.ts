import { randomUUID } from 'node:crypto';
import { cpus } from 'node:os';
import { type System, startSystem } from '../test/support/system.ts';
import { commitFloor, namespaceFloor } from './floor.ts';
import { LoadBalancers } from './load-balancers.ts';
import { percentiles, round } from './statistics.ts';

/**
 * From a POST to an ACTIVE load balancer (listener, pool, two members, health monitor): one at a time, and fifty at once
 * by sixteen clients. `node bench/provisioning.ts [noop|netns] [rounds]` prints JSON. Times are in milliseconds. The
 * ratios are against a floor measured in the same run: what the parts cost with nobody in charge.
 */
const provider = process.argv[2] === 'netns' ? 'netns' : 'noop';
const rounds = Number(process.argv[3] ?? (provider === 'noop' ? 100 : 10));
const BURST = 50;
const CLIENTS = 16;
/** Until V8 has compiled what runs all the time: a controller runs for months. */
const WARM_UP = 500;

const system = await startSystem({ provider, settings: { netns_direct: 'auto' } });
try {
  const subnetId = provider === 'noop' ? randomUUID() : await createNetwork(system);
  const users = new LoadBalancers(system, subnetId);
  for (let made = 0; made < (provider === 'noop' ? WARM_UP : 1); made += 1) await warmUpOnce(users);

  const floor = provider === 'noop' ? await commitFloor(system.config, rounds) : await namespaceFloor(rounds);
  const single = await oneAtATime(users);
  const burst = await allAtOnce(users);
  await users.close();
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

async function oneAtATime(users: LoadBalancers) {
  const answers: number[] = [];
  const actives: number[] = [];
  const cpuBefore = await users.cpuOfSystem();
  for (let index = 0; index < rounds; index += 1) {
    const started = performance.now();
    const id = await users.post();
    answers.push(performance.now() - started);
    await users.becomesActive(id);
    actives.push(performance.now() - started);
  }
  const cpu = (await users.cpuOfSystem()) - cpuBefore;
  return {
    load_balancers: rounds,
    answer: percentiles(answers),
    active: percentiles(actives),
    cpu_each: round(cpu / rounds),
  };
}

async function allAtOnce(users: LoadBalancers) {
  const cpuBefore = await users.cpuOfSystem();
  const started = performance.now();
  const ids = await users.postAll(BURST, CLIENTS);
  const answered = performance.now() - started;
  for (const id of ids) await users.becomesActive(id);
  const all = performance.now() - started;
  const cpu = (await users.cpuOfSystem()) - cpuBefore;
  return {
    load_balancers: BURST,
    clients: CLIENTS,
    all_answered: round(answered),
    all_active: round(all),
    cpu_each: round(cpu / BURST),
  };
}

async function warmUpOnce(users: LoadBalancers): Promise<void> {
  const id = await users.post();
  await users.becomesActive(id);
  await users.remove(id);
}

async function createNetwork({ api }: System): Promise<string> {
  const { subnet_id } = await api<{ subnet_id: string }>('POST', '/v2.0/amphorae/networks', {
    network: { name: 'bench', cidrs: [{ cidr: '198.51.100.0/24' }], vnic_types: ['normal', 'direct'] },
  });
  return subnet_id;
}
