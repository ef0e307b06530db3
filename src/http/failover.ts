import { randomUUID } from 'node:crypto';
import { type AmphoraInService, type Replacement, replaceAll } from '../model/replacement.ts';
import type { Topology } from '../model/status.ts';
import { findAmphora, listAmphorae } from '../store/amphorae.ts';
import { lockLoadBalancer, updateLoadBalancer } from '../store/load-balancers.ts';
import type { Api } from './api.ts';
import { addressOf, invalidState } from './change.ts';
import { immutable, notFound } from './fault.ts';
import { aboutLoadBalancer } from './request-log.ts';

/**
 * Replace every amphora of a load balancer, and make those that are missing.
 * @throws Fault 404; 409 unless it is ACTIVE or ERROR
 */
export function failOverLoadBalancer(api: Api, id: string): Promise<void> {
  return failOver(api, id, {
    admits: (status) => status === 'ACTIVE' || status === 'ERROR',
    refusal: (status) => invalidState(status, id),
    choose: (topology, amphorae) => replaceAll(topology, amphorae, randomUUID),
  });
}

/**
 * Replace one amphora.
 * @throws Fault 404; 409 unless its load balancer is ACTIVE
 */
export async function failOverAmphora(api: Api, amphoraId: string): Promise<void> {
  const amphora = await findAmphora(api.db, amphoraId);
  if (amphora === undefined) throw notFound('Amphora', amphoraId);
  const { load_balancer_id: loadBalancerId, role } = amphora;
  await failOver(api, loadBalancerId, {
    admits: (status) => status === 'ACTIVE',
    refusal: () => immutable('Load Balancer', loadBalancerId),
    choose: (_, amphorae) => {
      // Another failover may have replaced it before the load balancer was ours.
      if (!amphorae.some(({ id }) => id === amphoraId)) throw notFound('Amphora', amphoraId);
      return [{ oldId: amphoraId, newId: randomUUID(), role }];
    },
  });
}

interface Plan {
  admits(status: string): boolean;
  refusal(status: string): Error;
  choose(topology: Topology, amphorae: AmphoraInService[]): Replacement[];
}

async function failOver(api: Api, loadBalancerId: string, plan: Plan): Promise<void> {
  aboutLoadBalancer(loadBalancerId);
  const envelope = await api.db.transaction().execute(async (transaction) => {
    const loadBalancer = await lockLoadBalancer(transaction, loadBalancerId);
    if (loadBalancer === undefined) throw notFound('Load Balancer', loadBalancerId);
    const { provisioning_status: status, topology } = loadBalancer;
    if (!plan.admits(status)) throw plan.refusal(status);
    const replacements = plan.choose(topology, await listAmphorae(transaction, loadBalancerId));
    await updateLoadBalancer(transaction, loadBalancerId, { provisioning_status: 'PENDING_UPDATE' });
    return api.mailbox.send(transaction, addressOf(loadBalancerId), { type: 'FAILOVER', replacements });
  });
  api.mailbox.publish(envelope);
}
