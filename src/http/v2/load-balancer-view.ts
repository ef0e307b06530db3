import type { Reference } from '../../store/children.ts';
import type { Queryable } from '../../store/database.ts';
import { selectHealthMonitors } from '../../store/health-monitors.ts';
import { selectListeners } from '../../store/listeners.ts';
import type { StoredTree } from '../../store/load-balancer-tree.ts';
import { selectMembers } from '../../store/members.ts';
import { selectPools } from '../../store/pools.ts';
import { presentHealthMonitor } from './health-monitors.ts';
import { presentL7Policy } from './l7-policies.ts';
import { presentL7Rule } from './l7-rules.ts';
import { presentListener } from './listeners.ts';
import { presentMember } from './members.ts';
import { presentPool } from './pools.ts';

/** Listeners and pools below a new load balancer as full objects: the answer to its POST. */
export function viewTree(tree: StoredTree) {
  const policiesOf = Map.groupBy(tree.l7policies, (policy) => policy.listener_id);
  const rulesOf = Map.groupBy(tree.l7rules, (rule) => rule.l7policy_id);
  const listeners = tree.listeners.map((row) => {
    const policies = (policiesOf.get(row.id) ?? []).map((policy) => {
      const rules = rulesOf.get(policy.id) ?? [];
      return { ...presentL7Policy({ ...policy, rules: references(rules) }), rules: rules.map(presentL7Rule) };
    });
    policies.sort((left, right) => left.position - right.position);
    return { ...presentListener({ ...row, l7policies: references(policies) }), l7policies: policies };
  });
  const pools = poolsWith(tree.pools, tree).map(({ row, members, healthMonitor }) => {
    // As the view `pool_uses` has it.
    const users = listeners.filter(
      ({ default_pool_id, l7policies }) =>
        default_pool_id === row.id ||
        l7policies.some(
          ({ redirect_pool_id, admin_state_up, rules }) =>
            redirect_pool_id === row.id && admin_state_up && rules.length > 0,
        ),
    );
    const pool = presentPool({
      ...row,
      listeners: references(users),
      members: references(members),
      healthmonitor_id: healthMonitor?.id ?? null,
    });
    return {
      ...pool,
      members: members.map(presentMember),
      ...(healthMonitor && { healthmonitor: presentHealthMonitor(healthMonitor) }),
    };
  });
  return { listeners, pools };
}

const references = (objects: Reference[]): Reference[] => objects.map(({ id }) => ({ id }));

/** The status tree: the pools that each listener uses, with what is in them (contract A7). */
export async function viewStatuses(db: Queryable, loadBalancer: StatusRow) {
  const listeners = await selectListeners(db)
    .where('load_balancer_id', '=', loadBalancer.id)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const members = await selectMembers(db)
    .where('load_balancer_id', '=', loadBalancer.id)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const health_monitors = await selectHealthMonitors(db)
    .where('load_balancer_id', '=', loadBalancer.id)
    .execute();
  const rows = await selectPools(db)
    .where('load_balancer_id', '=', loadBalancer.id)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const pools = poolsWith(rows, { members, health_monitors });
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

/** Pools with what is in them. */
function poolsWith<Row extends Reference>(
  pools: Row[],
  { members, health_monitors }: Pick<StoredTree, 'members' | 'health_monitors'>,
) {
  const membersOf = Map.groupBy(members, (member) => member.pool_id);
  const monitorOf = new Map(health_monitors.map((monitor) => [monitor.pool_id, monitor]));
  return pools.map((row) => ({
    row,
    members: membersOf.get(row.id) ?? [],
    healthMonitor: monitorOf.get(row.id),
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
