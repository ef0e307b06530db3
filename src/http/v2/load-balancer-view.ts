import type { Queryable } from '../../store/database.ts';
import { type HealthMonitor, selectHealthMonitors } from '../../store/health-monitors.ts';
import { selectL7Policies } from '../../store/l7-policies.ts';
import type { L7Rule } from '../../store/l7-rules.ts';
import { type Listener, selectListeners } from '../../store/listeners.ts';
import { type Member, selectMembers } from '../../store/members.ts';
import { selectPools } from '../../store/pools.ts';
import { presentHealthMonitor } from './health-monitors.ts';
import { presentL7Policy } from './l7-policies.ts';
import { presentL7Rule } from './l7-rules.ts';
import { presentListener } from './listeners.ts';
import { presentMember } from './members.ts';
import { presentPool } from './pools.ts';

/** What has just been inserted and need not be read again. */
export interface StoredLeaves {
  members: Member[];
  healthMonitors: HealthMonitor[];
  l7rules: L7Rule[];
}

/** Listeners and pools below a new load balancer as full objects: the answer to its POST. */
export async function viewTree(db: Queryable, id: string, leaves: StoredLeaves) {
  const listeners = await loadListeners(db, id);
  const pools = await loadPools(db, id, leaves);
  const hasPolicies = listeners.some(({ l7policies }) => l7policies.length > 0);
  const policies = hasPolicies
    ? await selectL7Policies(db).where('load_balancer_id', '=', id).orderBy('position').execute()
    : [];
  const rules = leaves.l7rules;
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
  const listeners = await loadListeners(db, loadBalancer.id);
  const members = await selectMembers(db)
    .where('load_balancer_id', '=', loadBalancer.id)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const healthMonitors = await selectHealthMonitors(db)
    .where('load_balancer_id', '=', loadBalancer.id)
    .execute();
  const pools = await loadPools(db, loadBalancer.id, { members, healthMonitors });
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

function loadListeners(db: Queryable, loadBalancerId: string): Promise<Listener[]> {
  return selectListeners(db)
    .where('load_balancer_id', '=', loadBalancerId)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

/** Pools with what is in them, the oldest first. */
async function loadPools(
  db: Queryable,
  loadBalancerId: string,
  { members, healthMonitors }: Omit<StoredLeaves, 'l7rules'>,
) {
  const pools = await selectPools(db)
    .where('load_balancer_id', '=', loadBalancerId)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const membersOf = Map.groupBy(members, (member) => member.pool_id);
  const monitorOf = new Map(healthMonitors.map((monitor) => [monitor.pool_id, monitor]));
  return pools.map((pool) => ({
    row: pool,
    members: membersOf.get(pool.id) ?? [],
    healthMonitor: monitorOf.get(pool.id),
  }));
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
