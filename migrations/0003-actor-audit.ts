import { type Kysely, sql } from 'kysely';

/** What operators do to actors, and an index for what they look for first. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `CREATE TABLE actor_audit (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamptz NOT NULL DEFAULT now(),
    operator text NOT NULL, action text NOT NULL, actor_kind text NOT NULL, actor_id uuid NOT NULL,
    payload jsonb NOT NULL)`,
  `CREATE INDEX actor_audit_created ON actor_audit (created_at, id)`,
  `CREATE INDEX actors_quarantined ON actors (kind, id) WHERE quarantined IS NOT NULL`,
];
