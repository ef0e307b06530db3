import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { startNodeProcess } from './node-process.ts';
import { type Servers, startServers, storeLoadBalancers, untilNoneIsLeft } from './servers.ts';
import { round } from './statistics.ts';

/**
 * Steps of actors that the runtime commits per second, several at once where one leads to the next, while load balancers go
 * from their first event to ACTIVE with effects that are done at once: against the most that clients get out of the same PostgreSQL when they do nothing but consume a message,
 * write an actor of the same size, and record the event. `node bench/commits.ts [load balancers]` prints JSON.
 */
const count = Number(process.argv[2] ?? 500);
const CONNECTIONS = 8;

const servers = await startServers();
try {
  const node = await startNodeProcess({ servers, name: 'bench', effects: 'instant' });
  await create(servers, count);
  const runtime = await create(servers, count);
  await node.kill();
  const limit = await bareCommits(servers.pool, 5_000);
  process.stdout.write(
    `${JSON.stringify(
      {
        benchmark: 'commits',
        load_balancers: count,
        commits_per_second: round(runtime),
        limit: {
          what: `the same tables written by bare statements on ${CONNECTIONS} connections`,
          commits_per_second: round(limit),
        },
        ratio_to_limit: round(runtime / limit),
      },
      null,
      2,
    )}\n`,
  );
} finally {
  await servers.stop();
}

/** Steps per second while so many load balancers are created. */
async function create({ pool, publish }: Servers, loadBalancers: number): Promise<number> {
  const envelopes = await storeLoadBalancers(pool, loadBalancers);
  const before = await committed(pool);
  const started = performance.now();
  publish(envelopes);
  const ended = await untilNoneIsLeft(
    pool,
    `SELECT count(*)::int AS left FROM load_balancers WHERE provisioning_status = 'PENDING_CREATE'`,
  );
  return (((await committed(pool)) - before) * 1000) / (ended - started);
}

async function committed(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ count: number }>('SELECT count(*)::int AS count FROM actor_events');
  return rows[0]?.count ?? 0;
}

async function bareCommits(pool: pg.Pool, commits: number): Promise<number> {
  for (const table of ['actors', 'messages', 'actor_events']) {
    await pool.query(
      `CREATE TABLE bench_${table} (LIKE ${table} INCLUDING INDEXES INCLUDING DEFAULTS INCLUDING IDENTITY)`,
    );
  }
  await pool.query('INSERT INTO bench_actors SELECT * FROM actors LIMIT 100');
  const { rows: actors } = await pool.query<Actor>('SELECT kind, id, snapshot FROM bench_actors');
  const messages = Array.from({ length: commits }, () => randomUUID());
  await pool.query(
    `INSERT INTO bench_messages (id, partition, actor_kind, actor_id, event)
     SELECT id, 0, 'load-balancer', gen_random_uuid(), '{"type": "BENCH"}' FROM unnest($1::uuid[]) AS given (id)`,
    [messages],
  );
  let next = 0;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (let index = next++; index < commits; index = next++) {
        const { kind, id, snapshot } = actors[index % actors.length] as Actor;
        await pool.query({
          name: 'bare',
          text: `WITH consumed AS (DELETE FROM bench_messages WHERE id = $1 RETURNING id),
                   advanced AS (UPDATE bench_actors SET version = version + 1, snapshot = $4, updated_at = now()
                     WHERE kind = $2 AND id = $3 AND EXISTS (SELECT 1 FROM consumed) RETURNING version)
                 INSERT INTO bench_actor_events (actor_kind, actor_id, version, epoch, node, event, from_state, to_state,
                   handled)
                 SELECT $2, $3, version, 1, 'bench', '{"type": "BENCH"}', 'from', 'to', true FROM advanced`,
          values: [messages[index], kind, id, JSON.stringify(snapshot)],
        });
      }
    }),
  );
  return (commits * 1000) / (performance.now() - started);
}

interface Actor {
  kind: string;
  id: string;
  snapshot: object;
}
