import { type Selectable, sql } from 'kysely';
import type { AmphoraInService } from '../model/replacement.ts';
import type { Queryable } from './database.ts';
import { anyOf, columns } from './list.ts';
import type { AmphoraTable } from './schema.ts';
import { sharedLookup } from './shared-lookup.ts';

export type Amphora = Selectable<AmphoraTable>;

export const amphoraAttributes = {
  ...columns('amphorae', {
    id: 'uuid',
    status: 'text',
    role: 'text',
    compute_id: 'text',
    lb_network_ip: 'text',
    vrrp_ip: 'text',
    ha_ip: 'text',
    vrrp_port_id: 'uuid',
    ha_port_id: 'uuid',
    vrrp_interface: 'text',
    vrrp_id: 'integer',
    vrrp_priority: 'integer',
    cert_expiration: 'time',
    cert_busy: 'boolean',
    cached_zone: 'text',
    image_id: 'text',
    compute_flavor: 'text',
    created_at: 'time',
    updated_at: 'time',
  }),
  loadbalancer_id: { type: 'uuid', expression: sql.ref('amphorae.load_balancer_id') },
  project_id: {
    type: 'text',
    expression: sql`(select project_id from load_balancers where id = amphorae.load_balancer_id)`,
  },
} as const;

/** The amphorae of a load balancer, the oldest first. */
export function listAmphorae(db: Queryable, loadBalancerId: string): Promise<AmphoraInService[]> {
  return selectAmphorae(db)
    .where('load_balancer_id', '=', loadBalancerId)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

export const findAmphora = sharedLookup((db, ids) => selectAmphorae(db).where('id', '=', anyOf(ids)));

export async function markForRemoval(transaction: Queryable, id: string): Promise<void> {
  await transaction
    .updateTable('amphorae')
    .set({ status: 'PENDING_DELETE', updated_at: 'now' })
    .where('id', '=', id)
    .execute();
}

export function selectAmphorae(db: Queryable) {
  return db.selectFrom('amphorae').selectAll('amphorae').where('status', '<>', 'DELETED');
}
