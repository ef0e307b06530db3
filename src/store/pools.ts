import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import { childIds, type Reference } from './children.ts';
import type { Queryable } from './database.ts';
import { columns, provisionedColumns } from './list.ts';
import type { PoolTable } from './schema.ts';

export interface Pool extends Selectable<PoolTable> {
  listeners: Reference[];
  members: Reference[];
  healthmonitor_id: string | null;
}

const healthMonitorId = sql<string | null>`(select id from health_monitors where pool_id = pools.id)`;

const usersOfPool = sql`child.id in (select listener_id from pool_uses where pool_id = pools.id)`;

export const poolAttributes = {
  ...columns('pools', {
    ...provisionedColumns,
    description: 'text',
    protocol: 'text',
    lb_algorithm: 'text',
    tls_enabled: 'boolean',
    tls_container_ref: 'text',
    ca_tls_container_ref: 'text',
    crl_container_ref: 'text',
    tls_ciphers: 'text',
  }),
  loadbalancer_id: { type: 'uuid', expression: sql.ref('pools.load_balancer_id') },
  healthmonitor_id: { type: 'uuid', expression: healthMonitorId },
} as const;

export function selectPools(db: Queryable) {
  return db
    .selectFrom('pools')
    .selectAll('pools')
    .select([
      childIds('listeners', usersOfPool).as('listeners'),
      childIds('members', sql`child.pool_id = pools.id`).as('members'),
      healthMonitorId.as('healthmonitor_id'),
    ]);
}

export function insertPool(
  transaction: Queryable,
  row: Insertable<PoolTable>,
): Promise<Selectable<PoolTable>> {
  return transaction.insertInto('pools').values(row).returningAll().executeTakeFirstOrThrow();
}

export async function updatePool(
  transaction: Queryable,
  id: string,
  values: Updateable<PoolTable>,
): Promise<void> {
  await transaction.updateTable('pools').set(values).where('id', '=', id).execute();
}

/** Whether an L7 policy sends requests to the pool. */
export async function isRedirectTarget(db: Queryable, id: string): Promise<boolean> {
  const policy = await db
    .selectFrom('l7policies')
    .select('id')
    .where('redirect_pool_id', '=', id)
    .limit(1)
    .executeTakeFirst();
  return policy !== undefined;
}
