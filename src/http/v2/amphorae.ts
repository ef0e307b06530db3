import { Hono } from 'hono';
import { type Amphora, amphoraAttributes, selectAmphorae } from '../../store/amphorae.ts';
import { removeAmphora } from '../amphora-removal.ts';
import type { Api } from '../api.ts';
import { failOverAmphora } from '../failover.ts';
import { timestamp } from '../present.ts';
import { answerList, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';
import { answerAmphoraStats } from '../stats.ts';

export const amphorae: OctaviaResource<'amphorae', Amphora> = {
  title: 'Amphora',
  path: '/octavia/amphorae',
  policy: 'amphora',
  bodies: {},
  root: 'amphora',
  plural: 'amphorae',
  select: selectAmphorae,
  attributes: amphoraAttributes,
  present: (row) => ({
    id: row.id,
    loadbalancer_id: row.load_balancer_id,
    compute_id: row.compute_id,
    lb_network_ip: row.lb_network_ip,
    vrrp_ip: row.vrrp_ip,
    ha_ip: row.ha_ip,
    vrrp_port_id: row.vrrp_port_id,
    ha_port_id: row.ha_port_id,
    cert_expiration: timestamp(row.cert_expiration),
    cert_busy: row.cert_busy,
    role: row.role,
    status: row.status,
    vrrp_interface: row.vrrp_interface,
    vrrp_id: row.vrrp_id,
    vrrp_priority: row.vrrp_priority,
    cached_zone: row.cached_zone,
    image_id: row.image_id,
    compute_flavor: row.compute_flavor,
    created_at: timestamp(row.created_at),
    updated_at: timestamp(row.updated_at),
  }),
};

/** Have the agent of an amphora told its settings anew. @throws Fault 404 */
async function configureAmphora({ db, mailbox }: Api, id: string): Promise<void> {
  const { load_balancer_id: loadBalancerId } = await findRow(db, amphorae, id);
  const envelope = await db
    .transaction()
    .execute((transaction) =>
      mailbox.send(transaction, { kind: 'amphora', id, loadBalancerId }, { type: 'CONFIGURE' }),
    );
  mailbox.publish(envelope);
}

/** `/octavia/amphorae` (contract A18). */
export function amphoraRoutes(api: Api): Hono {
  const routes = new Hono();
  routes.get('/', (context) => answerList(context, api.db, amphorae));
  routes.get('/:id', (context) => answerShow(context, api.db, amphorae));
  routes.get('/:id/stats', (context) => answerAmphoraStats(context, api.db, pathId(context, 'Amphora')));
  routes.put('/:id/failover', async (context) => {
    await failOverAmphora(api, pathId(context, 'Amphora'));
    return context.body(null, 202);
  });
  routes.put('/:id/config', async (context) => {
    await configureAmphora(api, pathId(context, 'Amphora'));
    return context.body(null, 202);
  });
  routes.delete('/:id', async (context) => {
    await removeAmphora(api, pathId(context, 'Amphora'));
    return context.body(null, 204);
  });
  return routes;
}
