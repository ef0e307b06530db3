import { type Amphora, findAmphora, markForRemoval } from '../store/amphorae.ts';
import type { Queryable } from '../store/database.ts';
import { lockLoadBalancer, updateLoadBalancer } from '../store/load-balancers.ts';
import type { Api } from './api.ts';
import { addressOf } from './change.ts';
import { conflict, immutable, notFound } from './fault.ts';
import { aboutLoadBalancer } from './request-log.ts';

/**
 * Have what is left of a failed amphora removed (contract A18). Its load balancer is told where it is at work, because it
 * counts on its amphorae; one in ERROR counts on none.
 * @throws Fault 404; 409 unless the amphora is in ERROR, and its load balancer at rest
 */
export async function removeAmphora(api: Api, id: string): Promise<void> {
  const { load_balancer_id: loadBalancerId } = await find(api.db, id);
  aboutLoadBalancer(loadBalancerId);
  const envelope = await api.db.transaction().execute(async (transaction) => {
    const loadBalancer = await lockLoadBalancer(transaction, loadBalancerId);
    if (loadBalancer === undefined) throw notFound('Amphora', id);
    const { status, role } = await find(transaction, id);
    if (status !== 'ERROR')
      throw conflict(`Amphora ${id} is in ${status}. Only one in ERROR can be deleted.`);
    await markForRemoval(transaction, id);
    switch (loadBalancer.provisioning_status) {
      case 'ERROR':
        return api.mailbox.send(transaction, { kind: 'amphora', id, loadBalancerId }, { type: 'RELEASE' });
      case 'ACTIVE':
        await updateLoadBalancer(transaction, loadBalancerId, { provisioning_status: 'PENDING_UPDATE' });
        return api.mailbox.send(transaction, addressOf(loadBalancerId), {
          type: 'FAILOVER',
          replacements: [{ oldId: id, newId: null, role }],
        });
      default:
        throw immutable('Load Balancer', loadBalancerId);
    }
  });
  api.mailbox.publish(envelope);
}

async function find(db: Queryable, id: string): Promise<Amphora> {
  const amphora = await findAmphora(db, id);
  if (amphora === undefined) throw notFound('Amphora', id);
  return amphora;
}
