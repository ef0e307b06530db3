import type { Queryable } from '../../store/database.ts';
import { selectHealthMonitors } from '../../store/health-monitors.ts';
import { selectL7Policies } from '../../store/l7-policies.ts';
import { selectL7Rules } from '../../store/l7-rules.ts';
import { selectListeners } from '../../store/listeners.ts';
import { selectMembers } from '../../store/members.ts';
import { selectPools } from '../../store/pools.ts';
import { presentHealthMonitor } from './health-monitors.ts';
import { presentL7Policy } from './l7-policies.ts';
import { presentL7Rule } from './l7-rules.ts';
import { presentListener } from './listeners.ts';
import { presentMember } from './members.ts';
import { presentPool } from './pools.ts';

/** Listeners and pools below a load balancer as full objects: the answer to its POST. */
export async function viewTree(db: Queryable, id: string) {
  const { listeners, pools } = await loadTraffic(db, id);
  const policies = await selectL7Policies(db)
    .where('load_balancer_id', '=', id)
    .orderBy('position')
    .execute();
  const rules = await selectL7Rules(db)
    .where('load_balancer_id', '=', id)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const policiesOf = Map.groupBy(policies, (policy) => policy.listener_id);
  const rulesOf = Map.groupBy(rules, (rule) => rule.l7policy_id);
  return {
    listeners: listeners.map((listener) => ({
      ...presentListener(listener),
      l7policies: (policiesOf.get(listener.id) ?? []).map((policy) => ({
        ...presentL7Policy(policy),
        rules: (rulesOf.get(policy.id) ?? []).map(presentL7Rule),
      })),
    })),
    pools: pools.map(({ row, members, healthMonitor }) => ({
      ...presentPool(row),
      members: members.map(presentMember),
      ...(healthMonitor && { healthmonitor: presentHealthMonitor(healthMonitor) }),
    })),
  };
}

/** The status tree: the pools that each listener uses, with what is in them (contract A7). */
export async function viewStatuses(db: Queryable, loadBalancer: StatusRow) {
  const { listeners, pools } = await loadTraffic(db, loadBalancer.id);
  const usedBy = (listenerId: string) =>
    pools.filter(({ row }) => row.listeners.some(({ id }) => id === listenerId));
  return {
    loadbalancer: {
      ...status(loadBalancer),
      listeners: listeners.map((listener) => ({
        ...status(listener),
        pools: usedBy(listener.id).map(({ row, members, healthMonitor }) => ({
          ...status(row),
          ...(healthMonitor && { health_monitor: { ...status(healthMonitor), type: healthMonitor.type } }),
          members: members.map((member) => ({
            ...status(member),
            address: member.address,
            protocol_port: member.protocol_port,
          })),
        })),
      })),
    },
  };
}

/** Listeners, and pools with what is in them, the oldest first. */
async function loadTraffic(db: Queryable, loadBalancerId: string) {
  const [listeners, pools, members, healthMonitors] = [
    await selectListeners(db)
      .where('load_balancer_id', '=', loadBalancerId)
      .orderBy('created_at')
      .orderBy('id')
      .execute(),
    await selectPools(db)
      .where('load_balancer_id', '=', loadBalancerId)
      .orderBy('created_at')
      .orderBy('id')
      .execute(),
    await selectMembers(db)
      .where('load_balancer_id', '=', loadBalancerId)
      .orderBy('created_at')
      .orderBy('id')
      .execute(),
    await selectHealthMonitors(db).where('load_balancer_id', '=', loadBalancerId).execute(),
  ];
  const membersOf = Map.groupBy(members, (member) => member.pool_id);
  const monitorOf = new Map(healthMonitors.map((monitor) => [monitor.pool_id, monitor]));
  return {
    listeners,
    pools: pools.map((pool) => ({
      row: pool,
      members: membersOf.get(pool.id) ?? [],
      healthMonitor: monitorOf.get(pool.id),
    })),
  };
}

interface StatusRow {
  id: string;
  name: string;
  provisioning_status: string;
  operating_status: string;
}

function status({ id, name, provisioning_status, operating_status }: StatusRow) {
  return { id, name, provisioning_status, operating_status };
}
