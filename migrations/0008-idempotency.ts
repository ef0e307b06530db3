import { type Kysely, sql } from 'kysely';

/** Answers to POST requests that clients gave a key, so that a repeated one gets the same. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `CREATE TABLE idempotency_keys (
    project_id text NOT NULL, key text NOT NULL, request text NOT NULL, object_id uuid NOT NULL,
    claimed_until timestamptz NOT NULL, answer_status integer, answer_body text,
    created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (project_id, key))`,
  `CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at)`,
];
