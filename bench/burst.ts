import { randomUUID } from 'node:crypto';
import { startSystem } from '../test/support/system.ts';
import { commitFloor } from './floor.ts';
import { LoadBalancers } from './load-balancers.ts';
import { memoryOf } from './node-process.ts';
import { cpuMilliseconds } from './process-time.ts';
import { round } from './statistics.ts';

/**
 * Many load balancers at once with the noop provider, and as many again: until the second lot is ACTIVE, and what the control
 * plane (controller and supervisor, without database and broker) takes of memory before and after the first. The floor is what the same number of
 * bare commits takes, one after the other. `node bench/burst.ts [load balancers]` prints JSON, in milliseconds and MiB.
 */
const count = Number(process.argv[2] ?? 500);
const CLIENTS = 16;

const system = await startSystem({ provider: 'noop' });
try {
  const processes = system.processes();
  const controlPlane = [...processes].flatMap(([name, pid]) => (/^node-\d+$/.test(name) ? [pid] : []));
  const memory = () => ({
    controller: round(controlPlane.reduce((sum, pid) => sum + memoryOf(pid), 0)),
    supervisor: round(memoryOf(system.supervisor)),
  });
  const fresh = memory();
  const users = new LoadBalancers(system, randomUUID());
  // Until V8 has compiled what runs all the time: a controller runs for months.
  const warmUp = performance.now();
  for (const id of await users.postAll(count, CLIENTS)) await users.becomesActive(id);
  const cold = performance.now() - warmUp;
  const after = memory();

  const floor = await commitFloor(system.config, 20);
  const cpuBefore = cpuMilliseconds(processes.values());
  const started = performance.now();
  const ids = await users.postAll(count, CLIENTS);
  const answered = performance.now() - started;
  for (const id of ids) await users.becomesActive(id);
  const active = performance.now() - started;
  await users.close();
  const cpu = cpuMilliseconds(processes.values()) - cpuBefore;
  process.stdout.write(
    `${JSON.stringify(
      {
        benchmark: 'burst',
        load_balancers: count,
        clients: CLIENTS,
        floor: { what: `${floor.what} for each`, ms: round(floor.p50 * count) },
        all_answered: round(answered),
        all_active: round(active),
        all_active_of_the_first: round(cold),
        ratio_to_floor: round(active / (floor.p50 * count)),
        cpu_each: round(cpu / count),
        memory_fresh: fresh,
        memory_after: after,
      },
      null,
      2,
    )}\n`,
  );
} finally {
  await system.stop();
}
