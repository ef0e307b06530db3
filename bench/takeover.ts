import { startNodeProcess } from './node-process.ts';
import { startServers, storeLoadBalancers, untilNoneIsLeft } from './servers.ts';
import { round } from './statistics.ts';

/**
 * A node is killed while all its load balancers wait for an effect; another one takes them over. Measured from the kill
 * until each of them has moved on under the other node. `node bench/takeover.ts [load balancers]` prints JSON.
 */
const count = Number(process.argv[2] ?? 2_000);
const LEASE_MS = 5_000;

const servers = await startServers();
try {
  const { pool } = servers;
  const dying = await startNodeProcess({
    servers,
    name: 'dying',
    effects: 'hanging',
    leaseMs: LEASE_MS,
  });
  servers.publish(await storeLoadBalancers(pool, count));
  await untilNoneIsLeft(pool, `SELECT ${count} - count(*)::int AS left FROM actors WHERE effects <> '{}'`);

  const heir = startNodeProcess({ servers, name: 'heir', effects: 'instant', leaseMs: LEASE_MS });
  await dying.kill();
  const killed = performance.now();
  const { rows } = await pool.query<{ left: number }>(
    'SELECT (extract(epoch FROM max(lease_until) - now()) * 1000)::float8 AS left FROM partitions',
  );
  const moved = await untilNoneIsLeft(
    pool,
    `SELECT ${count} - count(DISTINCT actor_id)::int AS left FROM actor_events
     WHERE node = 'heir' AND actor_kind = 'load-balancer'`,
  );
  await (await heir).kill();
  process.stdout.write(
    `${JSON.stringify(
      {
        benchmark: 'takeover',
        busy_load_balancers: count,
        lease_ms: LEASE_MS,
        floor: { what: 'what was left of the lease', ms: round(rows[0]?.left ?? Number.NaN) },
        all_moved_on_ms: round(moved - killed),
        beyond_the_lease_ms: round(moved - killed - LEASE_MS),
      },
      null,
      2,
    )}\n`,
  );
} finally {
  await servers.stop();
}
