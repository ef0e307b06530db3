import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { startSystem } from '../test/support/system.ts';
import { commitFloor } from './floor.ts';
import { LoadBalancers } from './load-balancers.ts';
import { memoryOf, sharedMemoryOf } from './node-process.ts';
import { round } from './statistics.ts';

/**
 * Many load balancers at once with the noop provider, and as many again: until the second lot is ACTIVE, and what the
 * control plane (controller and supervisor, without database and broker) takes of memory before and after the first, at
 * once and when it has come to rest. The floor is what the same number of bare commits takes, one after the other.
 * `node bench/burst.ts [load balancers]` prints JSON, in milliseconds and MiB.
 */
const count = Number(process.argv[2] ?? 500);
const CLIENTS = 16;

/** A process that has come to rest gives memory back within two seconds. */
const REST_MS = 3_000;

const system = await startSystem({ provider: 'noop' });

/** Of controller and supervisor together, as if this process, which shares Node.js's code with them, were not there. */
function controlPlaneMemory(): number {
  const controllers = [...system.processes()].flatMap(([name, pid]) =>
    /^node-\d+$/.test(name) ? [pid] : [],
  );
  const own = [system.supervisor, ...controllers].reduce((sum, pid) => sum + memoryOf(pid), 0);
  return round(own + sharedMemoryOf(process.pid));
}

async function memory(): Promise<{ at_once: number; at_rest: number }> {
  const at_once = controlPlaneMemory();
  await pause(REST_MS);
  return { at_once, at_rest: controlPlaneMemory() };
}

try {
  const firstStart = await memory();
  await system.halt();
  await system.restart();
  const laterStart = await memory();
  const users = new LoadBalancers(system, randomUUID());
  // Until V8 has compiled what runs all the time: a controller runs for months.
  const warmUp = performance.now();
  for (const id of await users.postAll(count, CLIENTS)) await users.becomesActive(id);
  const cold = performance.now() - warmUp;
  const after = await memory();

  const floor = await commitFloor(system.config, 20);
  const cpuBefore = await users.cpuOfSystem();
  const started = performance.now();
  const ids = await users.postAll(count, CLIENTS);
  const answered = performance.now() - started;
  for (const id of ids) await users.becomesActive(id);
  const active = performance.now() - started;
  const cpu = (await users.cpuOfSystem()) - cpuBefore;
  await users.close();
  process.stdout.write(
    `${JSON.stringify(
      {
        benchmark: 'burst',
        // What bin/amphorae chose: dist/main.js, unless a source is newer.
        program: /\w+\/main\.[jt]s/.exec(readFileSync(`/proc/${system.supervisor}/cmdline`, 'utf8'))?.[0],
        load_balancers: count,
        clients: CLIENTS,
        floor: { what: `${floor.what} for each`, ms: round(floor.p50 * count) },
        all_answered: round(answered),
        all_active: round(active),
        all_active_of_the_first: round(cold),
        ratio_to_floor: round(active / (floor.p50 * count)),
        cpu_each: round(cpu / count),
        memory_first_start: firstStart,
        memory_later_start: laterStart,
        memory_after: after,
      },
      null,
      2,
    )}\n`,
  );
} finally {
  await system.stop();
}
