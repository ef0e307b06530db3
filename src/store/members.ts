import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import { inChunks } from './children.ts';
import type { Queryable } from './database.ts';
import { columns, provisionedColumns } from './list.ts';
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

export async function insertMembers(
  transaction: Queryable,
  rows: Insertable<MemberTable>[],
): Promise<Selectable<MemberTable>[]> {
  return inChunks(rows, (chunk) => transaction.insertInto('members').values(chunk).returningAll().execute());
}

export async function updateMember(
  transaction: Queryable,
  id: string,
  values: Updateable<MemberTable>,
): Promise<void> {
  await transaction.updateTable('members').set(values).where('id', '=', id).execute();
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
