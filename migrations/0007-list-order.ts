import { type Kysely, sql } from 'kysely';

/** Lists of all projects, in their order: without these a page costs more the more there is. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const table of ['listeners', 'pools', 'health_monitors', 'l7policies', 'amphorae'])
    await sql.raw(`CREATE INDEX ${table}_created ON ${table} (created_at, id)`).execute(db);
}
