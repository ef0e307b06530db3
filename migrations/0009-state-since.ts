import { type Kysely, sql } from 'kysely';

/** Since when an actor is in its state, so that the newest, or those that hang, are found without reading histories. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `ALTER TABLE actors ADD COLUMN state_since timestamptz NOT NULL DEFAULT now()`,
  `UPDATE actors SET state_since = coalesce((SELECT at FROM actor_events event
     WHERE event.actor_kind = actors.kind AND event.actor_id = actors.id AND event.from_state <> event.to_state
     ORDER BY event.version DESC LIMIT 1), updated_at)`,
  // All that lists are filtered by, so that an entry tells whether its actor belongs to a page; it changes with the state only.
  `CREATE INDEX actors_state_since ON actors (state_since, id, done, kind, state, partition)`,
];
