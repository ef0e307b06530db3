import { type Kysely, sql } from 'kysely';

/**
 * What amphorae report of themselves. No foreign keys: their checks would lock listeners and amphorae, whose lock is
 * the load balancer's row, and a heartbeat waits for nobody. What is left of removed objects is swept.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  // `sequence`: of the last heartbeat, from agents that number them; nothing older is believed.
  // `stale`: its load balancer has been told that the heartbeats stopped.
  `CREATE TABLE amphora_health (
    amphora_id uuid PRIMARY KEY, last_update timestamptz NOT NULL, sequence bigint,
    stale boolean NOT NULL DEFAULT false) WITH (fillfactor = 50)`,
  `CREATE TABLE listener_statistics (
    listener_id uuid NOT NULL, amphora_id uuid NOT NULL,
    bytes_in bigint NOT NULL DEFAULT 0, bytes_out bigint NOT NULL DEFAULT 0,
    active_connections bigint NOT NULL DEFAULT 0, total_connections bigint NOT NULL DEFAULT 0,
    request_errors bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (listener_id, amphora_id)) WITH (fillfactor = 50)`,
  `CREATE INDEX listener_statistics_amphora ON listener_statistics (amphora_id)`,
];
