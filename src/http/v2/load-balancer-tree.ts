import { randomUUID } from 'node:crypto';
import type { ListenerProtocol } from '../../model/graph.ts';
import { withoutProject } from '../attributes.ts';
import { conflict, invalidInput } from '../fault.ts';
import { memberRow, type VnicTypes } from '../member-placement.ts';
import type { Growth } from '../quota.ts';
import { completeHealthMonitor, type HealthMonitorLimits } from '../schemas/health-monitor.ts';
import { checkPolicyListener, completeRedirect } from '../schemas/l7-policy.ts';
import { checkRule, checkRuleCount } from '../schemas/l7-rule.ts';
import {
  checkAllowedCidrs,
  checkListener,
  checkPoolProtocol,
  completeListener,
  type ListenerLimits,
  layer4,
} from '../schemas/listener.ts';
import type { NewLoadBalancer, TreeListener, TreePool } from '../schemas/load-balancer.ts';
import { checkPool, completePool } from '../schemas/pool.ts';
import { healthMonitorRow } from './health-monitors.ts';
import { l7PolicyRow, movedTo } from './l7-policies.ts';
import { l7RuleRow } from './l7-rules.ts';
import { listenerRow } from './listeners.ts';
import { poolRow } from './pools.ts';

/**
 * All pools of a tree by name: those at the top and those defined where a listener or a policy uses them (contract A8).
 * @throws Fault 400
 */
export function collectPools({
  pools,
  listeners,
}: Pick<NewLoadBalancer, 'pools' | 'listeners'>): Map<string, TreePool> {
  const used = listeners
    .flatMap((listener): (TreePool | { name: string } | null)[] => [
      listener.default_pool,
      ...listener.l7policies.map(({ redirect_pool: pool }) => pool),
    ])
    .filter((pool) => pool !== null);
  const inPlace = used.flatMap((pool) => ('protocol' in pool ? [pool] : []));
  const byName = new Map<string, TreePool>();
  for (const pool of [...pools, ...inPlace]) {
    if (byName.has(pool.name)) throw invalidInput('pools.name', pool.name, 'Two pools have this name.');
    byName.set(pool.name, pool);
  }
  const unknown = used.find(({ name }) => !byName.has(name));
  if (unknown) throw invalidInput('pool.name', unknown.name, 'No pool of this name is defined.');
  return byName;
}

/** What the rows of a tree hang below. */
export interface Parent {
  loadBalancerId: string;
  projectId: string;
  vipAddresses: string[];
  vipSecurityGroups: string[];
  vnicTypes: VnicTypes;
  listenerLimits: ListenerLimits;
  healthMonitorLimits: HealthMonitorLimits;
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
    const pool = completePool(withoutProject(body));
    checkPool(pool, parent.listenerLimits.tls);
    poolRows.push(poolRow(pool, { ...place, id: poolId }));
    if (healthmonitor !== null) {
      const monitor = completeHealthMonitor(
        withoutProject(healthmonitor),
        pool.protocol,
        parent.healthMonitorLimits,
      );
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

  const poolOf = (protocol: ListenerProtocol, reference: { name: string } | null) => {
    const pool = reference === null ? undefined : pools.get(reference.name);
    if (pool !== undefined) checkPoolProtocol(protocol, pool.protocol);
    return pool?.id ?? null;
  };
  const ports = new Set<string>();
  const listenerRows = [];
  const policyRows = [];
  const ruleRows = [];
  for (const { default_pool: reference, l7policies, ...listenerBody } of listeners) {
    const listener = completeListener(withoutProject(listenerBody));
    const { protocol, protocol_port } = listener;
    checkListener(listener, parent.listenerLimits);
    if (listener.allowed_cidrs !== null)
      checkAllowedCidrs(listener.allowed_cidrs, parent.vipAddresses, parent.vipSecurityGroups);
    const port = `${layer4(protocol)} ${protocol_port}`;
    if (ports.has(port))
      throw conflict(`Another listener of the load balancer has port ${protocol_port} already.`);
    ports.add(port);
    const listenerId = randomUUID();
    listenerRows.push(
      listenerRow(listener, { ...place, id: listenerId, poolId: poolOf(protocol, reference) }),
    );

    const policies = l7policies.map((policy) => ({ id: randomUUID(), ...policy }));
    const order = policies.reduce<string[]>((ids, { id, position }) => movedTo(ids, id, position), []);
    for (const { id: policyId, redirect_pool: pool, rules, ...policyBody } of policies) {
      checkPolicyListener(protocol);
      const policy = withoutProject(policyBody);
      const redirect = completeRedirect({ ...policy, redirect_pool_id: poolOf(protocol, pool) });
      const position = order.indexOf(policyId) + 1;
      policyRows.push(
        l7PolicyRow({ ...policy, ...redirect, position }, { ...place, id: policyId, listenerId }),
      );
      checkRuleCount(rules.length);
      for (const ruleBody of rules) {
        const rule = withoutProject(ruleBody);
        checkRule(rule);
        ruleRows.push(l7RuleRow(rule, { ...place, id: randomUUID(), policyId }));
      }
    }
  }

  return {
    pools: poolRows,
    health_monitors: monitorRows,
    members: memberRows,
    listeners: listenerRows,
    l7policies: policyRows,
    l7rules: ruleRows,
  };
}

export function growthOf(tree: ReturnType<typeof growTree>): Growth {
  return {
    pool: tree.pools.length,
    health_monitor: tree.health_monitors.length,
    member: tree.members.length,
    listener: tree.listeners.length,
    l7policy: tree.l7policies.length,
    l7rule: tree.l7rules.length,
  };
}
