import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../store/database.ts';
import { insertHealthMonitors, selectHealthMonitors } from '../../store/health-monitors.ts';
import { insertListeners, selectListeners } from '../../store/listeners.ts';
import { insertMembers, selectMembers } from '../../store/members.ts';
import { insertPools, selectPools } from '../../store/pools.ts';
import { withoutProject } from '../attributes.ts';
import { conflict, invalidInput, notImplemented } from '../fault.ts';
import { memberRow, type VnicTypes } from '../member-placement.ts';
import { completeHealthMonitor } from '../schemas/health-monitor.ts';
import { checkListener, checkPoolProtocol, layer4 } from '../schemas/listener.ts';
import type { NewLoadBalancer, TreeListener, TreePool } from '../schemas/load-balancer.ts';
import { checkPool } from '../schemas/pool.ts';
import { healthMonitorRow, presentHealthMonitor } from './health-monitors.ts';
import { listenerRow, presentListener } from './listeners.ts';
import { presentMember } from './members.ts';
import { poolRow, presentPool } from './pools.ts';

/**
 * All pools of a tree by name: those at the top and those defined in place as a listener's default pool (contract A8).
 * @throws Fault 400
 */
export function collectPools({
  pools,
  listeners,
}: Pick<NewLoadBalancer, 'pools' | 'listeners'>): Map<string, TreePool> {
  const inPlace = listeners.flatMap(({ default_pool: pool }) =>
    pool !== null && 'protocol' in pool ? [pool] : [],
  );
  const byName = new Map<string, TreePool>();
  for (const pool of [...pools, ...inPlace]) {
    if (byName.has(pool.name)) throw invalidInput('pools.name', pool.name, 'Two pools have this name.');
    byName.set(pool.name, pool);
  }
  for (const { default_pool: pool } of listeners) {
    if (pool !== null && !byName.has(pool.name)) {
      throw invalidInput('default_pool.name', pool.name, 'No pool of this name is defined.');
    }
  }
  return byName;
}

/** What the rows of a tree hang below. */
export interface Parent {
  loadBalancerId: string;
  projectId: string;
  vipAddresses: string[];
  vipSecurityGroups: string[];
  vnicTypes: VnicTypes;
  networks: Map<string, string>;
}

/** Revision of everything that is created together with its load balancer. */
const FIRST_REVISION = 1;

/**
 * Turn the nested objects of a load balancer into rows, with all the rules that hold for each of them.
 * @throws Fault 400, 409, 501
 */
export function growTree(definitions: Map<string, TreePool>, listeners: TreeListener[], parent: Parent) {
  const place = { ...parent, revision: FIRST_REVISION };
  const pools = new Map([...definitions].map(([name, pool]) => [name, { id: randomUUID(), ...pool }]));

  const poolRows = [];
  const monitorRows = [];
  const memberRows = [];
  for (const { id: poolId, healthmonitor, members, ...body } of pools.values()) {
    const pool = withoutProject(body);
    checkPool(pool);
    poolRows.push(poolRow(pool, { ...place, id: poolId }));
    if (healthmonitor !== null) {
      const monitor = completeHealthMonitor(withoutProject(healthmonitor), pool.protocol);
      monitorRows.push(healthMonitorRow(monitor, { ...place, id: randomUUID(), poolId }));
    }
    const addresses = new Set<string>();
    for (const member of members) {
      const key = `${member.address} ${member.protocol_port}`;
      if (addresses.has(key)) throw conflict(`Pool ${pool.name} has the member ${key} twice.`);
      addresses.add(key);
      const placement = parent.vnicTypes.place(member, parent.networks);
      memberRows.push(
        memberRow(member, placement, {
          ...place,
          id: randomUUID(),
          poolId,
          monitored: healthmonitor !== null,
        }),
      );
    }
  }

  const ports = new Set<string>();
  const listenerRows = listeners.map(({ default_pool: reference, l7policies, ...listenerBody }) => {
    const listener = withoutProject(listenerBody);
    if (l7policies.length > 0) throw notImplemented('L7 policies are not supported yet.');
    checkListener(listener, parent.vipAddresses, parent.vipSecurityGroups);
    const port = `${layer4(listener.protocol)} ${listener.protocol_port}`;
    if (ports.has(port))
      throw conflict(`Another listener of the load balancer has port ${listener.protocol_port} already.`);
    ports.add(port);
    const pool = reference === null ? undefined : pools.get(reference.name);
    if (pool !== undefined) checkPoolProtocol(listener.protocol, pool.protocol);
    return listenerRow(listener, { ...place, id: randomUUID(), poolId: pool?.id ?? null });
  });

  return { pools: poolRows, healthMonitors: monitorRows, members: memberRows, listeners: listenerRows };
}

export async function insertTree(transaction: Queryable, tree: ReturnType<typeof growTree>): Promise<void> {
  await insertPools(transaction, tree.pools);
  await insertHealthMonitors(transaction, tree.healthMonitors);
  await insertMembers(transaction, tree.members);
  await insertListeners(transaction, tree.listeners);
}

/** Everything below a load balancer, oldest first. */
export async function loadTree(db: Queryable, loadBalancerId: string) {
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

type Tree = Awaited<ReturnType<typeof loadTree>>;

/** Listeners and pools as full objects: the answer to the POST of a load balancer. */
export function presentTree({ listeners, pools }: Tree) {
  return {
    listeners: listeners.map(presentListener),
    pools: pools.map(({ row, members, healthMonitor }) => ({
      ...presentPool(row),
      members: members.map(presentMember),
      ...(healthMonitor && { healthmonitor: presentHealthMonitor(healthMonitor) }),
    })),
  };
}

/** The status tree: the pools of each listener with what is in them (contract A7). */
export function presentStatuses(loadBalancer: StatusRow, { listeners, pools }: Tree) {
  return {
    loadbalancer: {
      ...status(loadBalancer),
      listeners: listeners.map((listener) => ({
        ...status(listener),
        pools: pools
          .filter(({ row }) => row.id === listener.default_pool_id)
          .map(({ row, members, healthMonitor }) => ({
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

interface StatusRow {
  id: string;
  name: string;
  provisioning_status: string;
  operating_status: string;
}

function status({ id, name, provisioning_status, operating_status }: StatusRow) {
  return { id, name, provisioning_status, operating_status };
}
