import { sql } from 'kysely';
import type { Heartbeat } from '../amphora-api/heartbeat.ts';
import type { Db, Queryable } from '../store/database.ts';
import { type StatusChange, type StatusTree, statusChanges } from './operating-status.ts';

/** What an amphora says of each load balancer's objects, by the load balancer's id. */
export type Reports = ReadonlyMap<string, Pick<Heartbeat, 'listeners' | 'pools'>>;

/**
 * Bring the operating statuses of these load balancers, and of what is below them, to what is reported. Writes changes
 * only. A load balancer that is being changed right now is left to its next report.
 * @returns whether anything changed
 */
export async function applyReports(db: Db, reports: Reports): Promise<boolean> {
  const affected = await changedBy(db, reports, [...reports.keys()]);
  if (affected.size === 0) return false;
  return db.transaction().execute(async (transaction) => {
    // The load balancer's row is the lock of everything below it (see src/store/row-changes.ts).
    const locked = await transaction
      .selectFrom('load_balancers')
      .select('id')
      .where('id', 'in', [...affected.keys()])
      .orderBy('id')
      .forNoKeyUpdate()
      .skipLocked()
      .execute();
    if (locked.length === 0) return false;
    const changes = await changedBy(
      transaction,
      reports,
      locked.map(({ id }) => id),
    );
    await writeChanges(transaction, [...changes.values()].flat());
    return changes.size > 0;
  });
}

/** The changes that each of these load balancers needs; those that need none are left out. */
async function changedBy(
  db: Queryable,
  reports: Reports,
  ids: readonly string[],
): Promise<Map<string, StatusChange[]>> {
  const trees = await loadTrees(db, ids);
  const changes = trees.map((tree): [string, StatusChange[]] => {
    const report = reports.get(tree.id);
    return [tree.id, report ? statusChanges(tree, report) : []];
  });
  return new Map(changes.filter(([, each]) => each.length > 0));
}

/** Load balancers that are to live, with everything below them that has an operating status of its own. */
async function loadTrees(db: Queryable, ids: readonly string[]): Promise<StatusTree[]> {
  const below = (table: string, columns: string) =>
    sql.raw(`coalesce((SELECT jsonb_agg(jsonb_build_object(${columns}))
      FROM ${table} WHERE load_balancer_id = load_balancer.id), '[]')`);
  const { rows } = await sql<StatusTree>`
    SELECT id, admin_state_up, provisioning_status, operating_status,
      ${below('listeners', `'id', id, 'admin_state_up', admin_state_up, 'operating_status', operating_status, 'l4_protocol', l4_protocol`)} AS listeners,
      ${below('pools', `'id', id, 'operating_status', operating_status`)} AS pools,
      ${below('members', `'id', id, 'pool_id', pool_id, 'operating_status', operating_status`)} AS members
    FROM load_balancers load_balancer
    WHERE id = any(${ids}::uuid[]) AND provisioning_status NOT IN ('PENDING_DELETE', 'DELETED')`.execute(db);
  return rows;
}

async function writeChanges(db: Queryable, changes: readonly StatusChange[]): Promise<void> {
  for (const table of ['load_balancers', 'listeners', 'pools', 'members'] as const) {
    const rows = changes.filter((change) => change.table === table);
    if (rows.length === 0) continue;
    await sql`
      UPDATE ${sql.table(table)} AS object SET operating_status = change.operating_status
      FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS change (id uuid, operating_status text)
      WHERE object.id = change.id`.execute(db);
  }
}
