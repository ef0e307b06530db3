import { type Insertable, type RawBuilder, type Selectable, sql, type Updateable } from 'kysely';
import { childIds, type Reference } from './children.ts';
import type { Queryable } from './database.ts';
import { columns, provisionedColumns } from './list.ts';
import type { ListenerTable } from './schema.ts';

export interface Listener extends Selectable<ListenerTable> {
  l7policies: Reference[];
}

export const listenerAttributes = {
  ...columns('listeners', {
    ...provisionedColumns,
    description: 'text',
    protocol: 'text',
    protocol_port: 'integer',
    connection_limit: 'integer',
    default_pool_id: 'uuid',
    timeout_client_data: 'integer',
    timeout_member_connect: 'integer',
    timeout_member_data: 'integer',
    timeout_tcp_inspect: 'integer',
    client_authentication: 'text',
    default_tls_container_ref: 'text',
    client_ca_tls_container_ref: 'text',
    client_crl_container_ref: 'text',
    tls_ciphers: 'text',
    hsts_max_age: 'integer',
    hsts_include_subdomains: 'boolean',
    hsts_preload: 'boolean',
  }),
  loadbalancer_id: { type: 'uuid', expression: sql.ref('listeners.load_balancer_id') },
} as const;

export function selectListeners(db: Queryable) {
  const policies = childIds('l7policies', sql`child.listener_id = listeners.id`, sql`child.position`);
  return db.selectFrom('listeners').selectAll('listeners').select(policies.as('l7policies'));
}

export function insertListener(
  transaction: Queryable,
  row: Insertable<ListenerTable>,
): Promise<Selectable<ListenerTable>> {
  return transaction.insertInto('listeners').values(row).returningAll().executeTakeFirstOrThrow();
}

/** Whether a listener of the load balancer says itself who may reach it. */
export async function hasAllowedCidrs(db: Queryable, loadBalancerId: string): Promise<boolean> {
  const found = await db
    .selectFrom('listeners')
    .select('id')
    .where('load_balancer_id', '=', loadBalancerId)
    .where('allowed_cidrs', 'is not', null)
    .limit(1)
    .executeTakeFirst();
  return found !== undefined;
}

export async function updateListener(
  transaction: Queryable,
  id: string,
  values: Updateable<ListenerTable>,
): Promise<void> {
  await transaction.updateTable('listeners').set(values).where('id', '=', id).execute();
}

/** Mark a listener as being changed with what is below it. One that is in ERROR stays in ERROR (contract B3). */
export async function lockListener(transaction: Queryable, id: string): Promise<void> {
  await lockListeners(transaction, sql`id = ${id}`);
}

/** Mark the listeners that use a pool as being changed with it. */
export async function lockListenersOf(transaction: Queryable, poolId: string): Promise<void> {
  await lockListeners(transaction, sql`id in (select listener_id from pool_uses where pool_id = ${poolId})`);
}

async function lockListeners(transaction: Queryable, which: RawBuilder<unknown>): Promise<void> {
  await transaction
    .updateTable('listeners')
    .set({ provisioning_status: 'PENDING_UPDATE' })
    .where(sql<boolean>`${which}`)
    .where('provisioning_status', '=', 'ACTIVE')
    .execute();
}
