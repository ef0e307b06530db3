import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import { childIds, type Reference } from './children.ts';
import type { Queryable } from './database.ts';
import { columns, provisionedColumns } from './list.ts';
import type { L7PolicyTable } from './schema.ts';

export interface L7Policy extends Selectable<L7PolicyTable> {
  rules: Reference[];
}

export const l7PolicyAttributes = {
  ...columns('l7policies', {
    ...provisionedColumns,
    description: 'text',
    listener_id: 'uuid',
    action: 'text',
    position: 'integer',
    redirect_pool_id: 'uuid',
    redirect_url: 'text',
    redirect_prefix: 'text',
    redirect_http_code: 'integer',
  }),
  loadbalancer_id: { type: 'uuid', expression: sql.ref('l7policies.load_balancer_id') },
} as const;

export function selectL7Policies(db: Queryable) {
  return db
    .selectFrom('l7policies')
    .selectAll('l7policies')
    .select(childIds('l7rules', sql`child.l7policy_id = l7policies.id`).as('rules'));
}

export async function insertL7Policy(transaction: Queryable, row: Insertable<L7PolicyTable>): Promise<void> {
  await transaction.insertInto('l7policies').values(row).execute();
}

export async function updateL7Policy(
  transaction: Queryable,
  id: string,
  values: Updateable<L7PolicyTable>,
): Promise<void> {
  await transaction.updateTable('l7policies').set(values).where('id', '=', id).execute();
}

/**
 * Give the policies of a listener dense positions from 1 on, in the order that `arrange` makes of the present one. Those
 * that are on their way out come last.
 */
export async function rearrangeL7Policies(
  transaction: Queryable,
  listenerId: string,
  arrange: (ids: string[]) => string[],
): Promise<void> {
  const rows = await transaction
    .selectFrom('l7policies')
    .select(['id', 'provisioning_status'])
    .where('listener_id', '=', listenerId)
    .orderBy('position')
    .orderBy('created_at')
    .execute();
  const idsOf = (leaving: boolean) =>
    rows.filter((row) => (row.provisioning_status === 'PENDING_DELETE') === leaving).map(({ id }) => id);
  const order = [...arrange(idsOf(false)), ...idsOf(true)];
  await sql`update l7policies set position = given.position
    from unnest(${order}::uuid[]) with ordinality as given (id, position)
    where l7policies.id = given.id and l7policies.position <> given.position`.execute(transaction);
}
