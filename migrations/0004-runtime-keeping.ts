import { type Kysely, sql } from 'kysely';

/** What the runtime keeps besides its actors: which failovers may begin, who asked what, and which chores are due. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  // Automatic failovers: amphorae that are not heard of, the limiter, and what it let begin.
  `ALTER TABLE amphorae ADD COLUMN stale_since timestamptz`,
  `CREATE INDEX amphorae_stale ON amphorae (stale_since) WHERE stale_since IS NOT NULL`,
  // One row: who locks it decides.
  `CREATE TABLE failover_limiter (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    state text NOT NULL DEFAULT 'admitting' CHECK (state IN ('admitting', 'stopped', 'overridden')),
    reason text NOT NULL DEFAULT '', changed_at timestamptz NOT NULL DEFAULT now(), changed_by text NOT NULL DEFAULT '')`,
  `INSERT INTO failover_limiter DEFAULT VALUES`,
  `CREATE TABLE automatic_failovers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, load_balancer_id uuid NOT NULL,
    admitted_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz)`,
  `CREATE UNIQUE INDEX automatic_failovers_running ON automatic_failovers (load_balancer_id) WHERE ended_at IS NULL`,
  `CREATE INDEX automatic_failovers_admitted ON automatic_failovers (admitted_at)`,

  // An operator's act need not be about one actor.
  `ALTER TABLE actor_audit ALTER COLUMN actor_kind DROP NOT NULL, ALTER COLUMN actor_id DROP NOT NULL`,
  // Where the sender of a message waits for what became of it.
  `ALTER TABLE messages ADD COLUMN reply_to text`,

  // Each chore is done by one process at a time, and then not before it is due again.
  `CREATE TABLE chores (name text PRIMARY KEY, due_at timestamptz NOT NULL)`,
  // By a column that never changes: an index of one that does would make every update of the table dearer.
  `CREATE INDEX actors_done ON actors (created_at) WHERE done`,
  `CREATE INDEX load_balancers_deleted ON load_balancers (created_at) WHERE provisioning_status = 'DELETED'`,
];
