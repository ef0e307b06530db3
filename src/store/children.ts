import { type RawBuilder, sql } from 'kysely';
import type { ProvisioningStatus } from '../model/status.ts';
import type { Queryable } from './database.ts';

/** How lists name other objects. */
export interface Reference {
  id: string;
}

/** Tables of what hangs below a load balancer. */
export type ChildTable = 'listeners' | 'pools' | 'members' | 'health_monitors' | 'l7policies' | 'l7rules';

/**
 * The ids of child rows as `[{"id"}]`, oldest first, as one sub-select: a list of any length stays one statement.
 * @param condition joins child and parent; the child table is `child`.
 */
export function childIds(
  table: ChildTable,
  condition: RawBuilder<unknown>,
  order = sql`child.created_at, child.id`,
) {
  return sql<Reference[]>`(
    select coalesce(json_agg(json_build_object('id', child.id) order by ${order}), '[]')
    from ${sql.table(table)} as child where ${condition})`;
}

/** The load balancer that an object belongs to; it never changes. */
export async function findLoadBalancerId(
  db: Queryable,
  table: ChildTable,
  id: string,
): Promise<string | undefined> {
  const row = await db.selectFrom(table).select('load_balancer_id').where('id', '=', id).executeTakeFirst();
  return row?.load_balancer_id;
}

/** The provisioning status of an object, as the transaction sees it; undefined when it is gone. */
export async function findStatus(
  transaction: Queryable,
  table: ChildTable,
  id: string,
): Promise<ProvisioningStatus | undefined> {
  const row = await transaction
    .selectFrom(table)
    .select('provisioning_status')
    .where('id', '=', id)
    .executeTakeFirst();
  return row?.provisioning_status;
}
