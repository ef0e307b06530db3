import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'nats';
import type pg from 'pg';
import pino from 'pino';
import type { Envelope } from '../src/actors/bus.ts';
import { START } from '../src/actors/mailbox.ts';
import { NatsBus } from '../src/actors/nats-bus.ts';
import { natsOptions } from '../src/actors/nats-url.ts';
import { XSTATE_VERSION } from '../src/actors/versions.ts';
import { partitionOf } from '../src/machines/address.ts';
import { machineVersions } from '../src/machines/registry.ts';
import { openDatabase } from '../src/store/database.ts';
import { startTestNats } from '../test/support/nats.ts';
import { startTestPostgres } from '../test/support/postgres.ts';

/** PostgreSQL (which does not wait for the disk) and nats-server of one benchmark, and its own connection to both. */
export interface Servers {
  databaseUrl: string;
  natsUrl: string;
  pool: pg.Pool;
  publish(envelopes: Envelope[]): void;
  stop(): Promise<void>;
}

export async function startServers(): Promise<Servers> {
  const postgres = await startTestPostgres();
  const nats = await startTestNats();
  const { pool, close } = openDatabase(postgres.url, { maxConnections: 8, applicationName: 'bench' });
  const bus = new NatsBus(await connect(natsOptions(nats.url)), pino({ level: 'error' }));
  return {
    databaseUrl: postgres.url,
    natsUrl: nats.url,
    pool,
    publish: (envelopes) => bus.publish(envelopes),
    async stop() {
      await bus.close();
      await close();
      await nats.stop();
      await postgres.stop();
    },
  };
}

/** Store load balancers with one listener each, as the API does, and return the messages that bring them to life. */
export async function storeLoadBalancers(pool: pg.Pool, count: number): Promise<Envelope[]> {
  const rows = Array.from({ length: count }, () => {
    const id = randomUUID();
    const input = { loadBalancerId: id, topology: 'SINGLE', amphoraIds: [randomUUID()] };
    return { id, partition: partitionOf(id), input };
  });
  const given = 'jsonb_to_recordset($1) AS given (id uuid, partition integer, input jsonb)';
  const text = JSON.stringify(rows);
  await pool.query(
    `INSERT INTO load_balancers (id, project_id, provider, topology, vip_subnet_id, vip_network_id, revision)
     SELECT id, 'bench', 'amphora', 'SINGLE', gen_random_uuid(), gen_random_uuid(), 1 FROM ${given}`,
    [text],
  );
  await pool.query(
    `INSERT INTO listeners (id, load_balancer_id, project_id, protocol, protocol_port, revision)
     SELECT gen_random_uuid(), id, 'bench', 'HTTP', 80, 1 FROM ${given}`,
    [text],
  );
  await pool.query(
    `INSERT INTO actors (kind, id, partition, machine_version, xstate_version, input)
     SELECT 'load-balancer', id, partition, $2, $3, input FROM ${given}`,
    [text, machineVersions['load-balancer'], XSTATE_VERSION],
  );
  return storeMessages(
    pool,
    rows.map(({ id }) => id),
    START,
  );
}

/** Store the same event for many load balancers. */
export async function storeMessages(
  pool: pg.Pool,
  ids: string[],
  event: { type: string },
): Promise<Envelope[]> {
  const rows = ids.map((id) => ({ id, partition: partitionOf(id) }));
  const { rows: stored } = await pool.query<Envelope>(
    `INSERT INTO messages (id, partition, actor_kind, actor_id, event)
     SELECT gen_random_uuid(), partition, 'load-balancer', id, $2
     FROM jsonb_to_recordset($1) AS given (id uuid, partition integer)
     RETURNING id, seq, partition, actor_kind AS kind, actor_id AS "actorId", event`,
    [JSON.stringify(rows), JSON.stringify(event)],
  );
  return stored;
}

/** Ask `query`, which answers with one number `left`, until there is nothing left; resolves with the time of that. */
export async function untilNoneIsLeft(pool: pg.Pool, query: string, pollMs = 10): Promise<number> {
  for (const deadline = Date.now() + 180_000; Date.now() < deadline; await pause(pollMs)) {
    const { rows } = await pool.query<{ left: number }>(query);
    if (rows[0]?.left === 0) return performance.now();
  }
  throw new Error(`some are left after three minutes: ${query}`);
}
