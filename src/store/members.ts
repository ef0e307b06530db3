import { CompiledQuery, type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { Queryable } from './database.ts';
import { anyOf, columns, provisionedColumns } from './list.ts';
import { insertInOrder } from './rows-in-order.ts';
import type { MemberTable } from './schema.ts';

export type Member = Selectable<MemberTable>;

export const memberAttributes = columns('members', {
  ...provisionedColumns,
  address: 'text',
  protocol_port: 'integer',
  weight: 'integer',
  backup: 'boolean',
  subnet_id: 'uuid',
  vnic_type: 'text',
  monitor_address: 'text',
  monitor_port: 'integer',
});

export function selectMembers(db: Queryable) {
  return db.selectFrom('members').selectAll('members');
}

/** Which vNIC type the networks of a load balancer's members are plugged with, as far as it got there. */
export function selectPluggedNetworks(db: Queryable, loadBalancerId: string) {
  return db
    .selectFrom('members')
    .select(['id', 'network_id', 'vnic_type'])
    .where('load_balancer_id', '=', loadBalancerId)
    .where('network_id', 'is not', null)
    .where('withheld', '=', false)
    .execute();
}

export function insertMember(
  transaction: Queryable,
  row: Insertable<MemberTable>,
): Promise<Selectable<MemberTable>> {
  return transaction.insertInto('members').values(row).returningAll().executeTakeFirstOrThrow();
}

/** Write any number of rows, in the order in which lists are to have them. */
export async function insertMembers(transaction: Queryable, rows: Insertable<MemberTable>[]): Promise<void> {
  if (rows.length === 0) return;
  const statement = insertInOrder('members', rows, '$1::jsonb');
  await transaction.executeQuery(CompiledQuery.raw(statement, [JSON.stringify(rows)]));
}

export async function updateMember(
  transaction: Queryable,
  id: string,
  values: Updateable<MemberTable>,
): Promise<void> {
  await transaction.updateTable('members').set(values).where('id', '=', id).execute();
}

/** What a batch says of a member that exists. */
export type MemberChange = Pick<
  Member,
  'id' | 'name' | 'admin_state_up' | 'weight' | 'backup' | 'monitor_address' | 'monitor_port' | 'tags'
>;

/** Change any number of members, each in its own way, and mark all of them, in one statement. */
export async function updateMembers(
  transaction: Queryable,
  changes: MemberChange[],
  mark: Updateable<MemberTable>,
): Promise<void> {
  if (changes.length === 0) return;
  const given = (column: string) => sql<never>`${sql.ref(`given.${column}`)}`;
  await transaction
    .updateTable('members')
    .from(
      sql`jsonb_to_recordset(${JSON.stringify(changes)}::jsonb)`.as(
        sql`given (id uuid, name text, admin_state_up boolean, weight integer, backup boolean,
          monitor_address text, monitor_port integer, tags text[])`,
      ),
    )
    .set({
      name: given('name'),
      admin_state_up: given('admin_state_up'),
      weight: given('weight'),
      backup: given('backup'),
      monitor_address: given('monitor_address'),
      monitor_port: given('monitor_port'),
      tags: given('tags'),
      ...mark,
    })
    .where(sql<boolean>`members.id = given.id`)
    .execute();
}

/** Mark any number of members in one statement. */
export async function markMembers(
  transaction: Queryable,
  ids: string[],
  mark: Updateable<MemberTable>,
): Promise<void> {
  if (ids.length > 0)
    await transaction.updateTable('members').set(mark).where('id', '=', anyOf(ids)).execute();
}

/** Whether a pool has a member that is reached through a port of its own subnet. */
export async function hasMemberSubnets(db: Queryable, poolId: string): Promise<boolean> {
  const { found } = await db
    .selectNoFrom(
      sql<boolean>`exists (select 1 from members where pool_id = ${poolId} and subnet_id is not null)`.as(
        'found',
      ),
    )
    .executeTakeFirstOrThrow();
  return found;
}
