import { type Kysely, sql } from 'kysely';

/** An amphora that is stale while automatic failovers are stopped says so in its status, as Octavia's do. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE amphorae DROP CONSTRAINT amphorae_status_check, ADD CONSTRAINT amphorae_status_check CHECK
    (status IN ('PENDING_CREATE', 'BOOTING', 'ALLOCATED', 'PENDING_DELETE', 'ERROR', 'FAILOVER_STOPPED', 'DELETED'))`.execute(
    db,
  );
}
