import { sql } from 'kysely';
import type { Db } from './database.ts';

/** Code of the error of a listener whose TLS material could not be read at the last push. */
export const TLS_UNREADABLE = 'tls_unreadable';

/**
 * Note what the push of a revision found out about the listeners' TLS material: those that could not be served become ERROR
 * with the reason, those that were so and are served again become ACTIVE (contract B3). What was changed since is left to
 * the push of that change.
 * @param unreadable id -> reason
 */
export async function noteUnreadableListeners(
  db: Db,
  { id, revision }: { id: string; revision: number },
  unreadable: ReadonlyMap<string, string>,
): Promise<void> {
  const reasons = JSON.stringify([...unreadable].map(([listener, reason]) => ({ listener, reason })));
  // The load balancer's row is the lock of everything below it.
  await sql`
    WITH locked AS (SELECT id FROM load_balancers WHERE id = ${id} FOR NO KEY UPDATE),
    given AS (SELECT * FROM jsonb_to_recordset(${reasons}::jsonb) AS given (listener uuid, reason text)),
    mine AS (
      SELECT listeners.id, given.reason FROM listeners JOIN locked ON load_balancer_id = locked.id
        LEFT JOIN given ON given.listener = listeners.id
      WHERE provisioning_status <> 'PENDING_DELETE' AND NOT withheld AND revision <= ${revision}
        AND CASE WHEN given.reason IS NULL THEN provisioning_status = 'ERROR' AND error_code = ${TLS_UNREADABLE}
          ELSE (provisioning_status, error_message) IS DISTINCT FROM ('ERROR', given.reason) END
    )
    UPDATE listeners SET updated_at = now(), error_message = mine.reason,
      error_code = CASE WHEN mine.reason IS NOT NULL THEN ${TLS_UNREADABLE} END,
      provisioning_status = CASE WHEN mine.reason IS NULL THEN 'ACTIVE' ELSE 'ERROR' END,
      operating_status = CASE WHEN mine.reason IS NULL THEN 'OFFLINE' ELSE 'ERROR' END
    FROM mine WHERE listeners.id = mine.id`.execute(db);
}
