import { type Selectable, sql, type Updateable } from 'kysely';
import { childIds, type Reference } from './children.ts';
import type { Queryable } from './database.ts';
import { columns, provisionedColumns } from './list.ts';
import type { LoadBalancerTable } from './schema.ts';

export interface LoadBalancer extends Selectable<LoadBalancerTable> {
  listeners: Reference[];
  pools: Reference[];
  additional_vips: { subnet_id: string; ip_address: string | null; port_id: string | null }[];
}

export const loadBalancerAttributes = columns('load_balancers', {
  ...provisionedColumns,
  description: 'text',
  provider: 'text',
  flavor_id: 'uuid',
  availability_zone: 'text',
  vip_address: 'text',
  vip_subnet_id: 'uuid',
  vip_network_id: 'uuid',
  vip_port_id: 'uuid',
  vip_qos_policy_id: 'uuid',
  vip_vnic_type: 'text',
});

/** In these very words: indexes hold only the rows of which they are true, and a parameter could be anything. */
const exists = sql<boolean>`load_balancers.provisioning_status <> 'DELETED'`;

/** Load balancers that exist for the API, with the ids of what they hold. */
export function selectLoadBalancers(db: Queryable) {
  const additionalVips = sql<LoadBalancer['additional_vips']>`(
    select coalesce(json_agg(json_build_object(
      'subnet_id', vip.subnet_id, 'ip_address', vip.ip_address, 'port_id', vip.port_id) order by vip.position), '[]')
    from additional_vips as vip where vip.load_balancer_id = load_balancers.id)`;
  const ofThis = sql`child.load_balancer_id = load_balancers.id`;
  return db
    .selectFrom('load_balancers')
    .selectAll('load_balancers')
    .select([
      childIds('listeners', ofThis).as('listeners'),
      childIds('pools', ofThis).as('pools'),
      additionalVips.as('additional_vips'),
    ])
    .where(exists);
}

/** The row, locked until the transaction ends. It is the lock of everything below it (contract B1). */
export function lockLoadBalancer(transaction: Queryable, id: string) {
  return transaction
    .selectFrom('load_balancers')
    .selectAll()
    .where('id', '=', id)
    .where('provisioning_status', '<>', 'DELETED')
    .forUpdate()
    .executeTakeFirst();
}

export async function updateLoadBalancer(
  transaction: Queryable,
  id: string,
  values: Updateable<LoadBalancerTable>,
): Promise<void> {
  await transaction.updateTable('load_balancers').set(values).where('id', '=', id).execute();
}

/** A load balancer is updated by the next statement that is made with what this returns. */
export function updatingLoadBalancer(
  transaction: Queryable,
  id: string,
  values: Updateable<LoadBalancerTable>,
) {
  return transaction.with('updated_load_balancer', (db) =>
    db.updateTable('load_balancers').set(values).where('id', '=', id).returning('id'),
  );
}

/** Whether anything hangs below a load balancer. */
export async function hasChildren(db: Queryable, id: string): Promise<boolean> {
  const { found } = await db
    .selectNoFrom(
      sql<boolean>`exists (select 1 from listeners where load_balancer_id = ${id})
        or exists (select 1 from pools where load_balancer_id = ${id})`.as('found'),
    )
    .executeTakeFirstOrThrow();
  return found;
}

/** All virtual addresses of a load balancer, the primary first. */
export async function findVipAddresses(db: Queryable, id: string): Promise<string[]> {
  const rows = await db
    .selectFrom('load_balancers')
    .select(['vip_address as address', sql<number>`-1`.as('position')])
    .where('id', '=', id)
    .unionAll(
      db
        .selectFrom('additional_vips')
        .select(['ip_address as address', 'position'])
        .where('load_balancer_id', '=', id),
    )
    .orderBy('position')
    .execute();
  return rows.flatMap(({ address }) => (address === null ? [] : [address]));
}

/** Whether a port holds the addresses of a load balancer. */
export async function isVipPort(db: Queryable, portId: string): Promise<boolean> {
  const row = await selectLoadBalancers(db).where('vip_port_id', '=', portId).limit(1).executeTakeFirst();
  return row !== undefined;
}
