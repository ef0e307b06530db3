import { setTimeout as pause } from 'node:timers/promises';
import type { Envelope } from '../src/actors/bus.ts';
import { startNodeProcess } from './node-process.ts';
import { startServers, storeLoadBalancers, storeMessages, untilNoneIsLeft } from './servers.ts';
import { percentiles, round } from './statistics.ts';

/**
 * What actors cost that have nothing to do: the memory of a node (proportional share, MiB) before it had any and after
 * all of them went to ACTIVE in it, and how long it takes to wake one that is not in its cache, from the message until
 * its commit (milliseconds; the floor is a query that finds nothing to wait for). `node bench/passive.ts [actors]`.
 */
const loadBalancers = Number(process.argv[2] ?? 20_000) / 2;
const BATCH = 500;
const WAKES = 100;

const servers = await startServers();
try {
  const { pool, publish } = servers;
  const node = await startNodeProcess({ servers, name: 'bench', effects: 'instant' });
  const empty = node.memory();
  const ids: string[] = [];
  for (let stored = 0; stored < loadBalancers; stored += BATCH) {
    const envelopes = await storeLoadBalancers(pool, BATCH);
    ids.push(...envelopes.map(({ actorId }) => actorId));
    publish(envelopes);
    await untilNoneIsLeft(
      pool,
      `SELECT count(*)::int AS left FROM load_balancers WHERE provisioning_status <> 'ACTIVE'`,
      50,
    );
  }
  // The next sweep empties the cache down to its size.
  await pause(5_000);
  const full = node.memory();

  const times: number[] = [];
  const floor: number[] = [];
  // The first ones were used longest ago.
  for (const id of ids.slice(0, WAKES)) {
    const [envelope] = (await storeMessages(pool, [id], { type: 'BENCH' })) as [Envelope];
    const waiting = `SELECT count(*)::int AS left FROM messages WHERE id = '${envelope.id}'`;
    const started = performance.now();
    publish([envelope]);
    times.push((await untilNoneIsLeft(pool, waiting, 1)) - started);
    const asked = performance.now();
    floor.push((await untilNoneIsLeft(pool, waiting, 1)) - asked);
  }
  await node.kill();
  process.stdout.write(
    `${JSON.stringify(
      {
        benchmark: 'passive',
        actors: loadBalancers * 2,
        memory: { empty: round(empty), full: round(full), above: round(full - empty) },
        wake: percentiles(times),
        floor: percentiles(floor),
      },
      null,
      2,
    )}\n`,
  );
} finally {
  await servers.stop();
}
