import type {
  HealthMonitorNode,
  L7PolicyNode,
  L7RuleNode,
  ListenerNode,
  LoadBalancerGraph,
  MemberNode,
  PoolNode,
} from '../model/graph.ts';

interface Stored {
  provisioningStatus: string;
  withheld: boolean;
}

/** Objects that are to be in force: not on their way out, and not withheld because they could not be applied. */
export function desired<T extends Stored>(objects: T[]): T[] {
  return objects.filter(
    ({ provisioningStatus, withheld }) => provisioningStatus !== 'PENDING_DELETE' && !withheld,
  );
}

/** Listeners that serve traffic. A load balancer that is switched off has none. */
export function activeListeners(graph: LoadBalancerGraph): ListenerNode[] {
  return graph.adminStateUp ? desired(graph.listeners).filter(({ adminStateUp }) => adminStateUp) : [];
}

/** The pool that a listener sends to by default, if it is to be used. */
export function defaultPool(graph: LoadBalancerGraph, listener: ListenerNode): PoolNode | undefined {
  return activePool(graph, listener.defaultPoolId);
}

/** Those that haproxy serves; what is left is for LVS. */
export function haproxyListeners(graph: LoadBalancerGraph): ListenerNode[] {
  return activeListeners(graph).filter(({ protocol }) => protocol !== 'UDP' && protocol !== 'SCTP');
}

/** A policy that is to be in force, with what it needs for that. */
export interface ActivePolicy {
  policy: L7PolicyNode;
  /** All of them have to match; at least one. */
  rules: L7RuleNode[];
  /** Where REDIRECT_TO_POOL leads. */
  pool: PoolNode | undefined;
}

/** The policies of a listener in the order of their position; without a rule, or the pool that it needs, there is none. */
export function activePolicies(graph: LoadBalancerGraph, listener: ListenerNode): ActivePolicy[] {
  const policies = desired(listener.l7policies).filter(({ adminStateUp }) => adminStateUp);
  return policies
    .map((policy) => ({
      policy,
      rules: desired(policy.rules).filter(({ adminStateUp }) => adminStateUp),
      pool: policy.action === 'REDIRECT_TO_POOL' ? activePool(graph, policy.redirectPoolId) : undefined,
    }))
    .filter(
      ({ policy, rules, pool }) =>
        rules.length > 0 && (policy.action !== 'REDIRECT_TO_POOL' || pool !== undefined),
    );
}

/** Every pool that a listener may send to, by default or by a policy. */
export function poolsOf(graph: LoadBalancerGraph, listener: ListenerNode): PoolNode[] {
  const pools = [defaultPool(graph, listener), ...activePolicies(graph, listener).map(({ pool }) => pool)];
  return [...new Set(pools.filter((pool) => pool !== undefined))];
}

function activePool(graph: LoadBalancerGraph, poolId: string | null): PoolNode | undefined {
  return desired(graph.pools).find(({ id, adminStateUp }) => id === poolId && adminStateUp);
}

export function activeHealthMonitor(pool: PoolNode): HealthMonitorNode | undefined {
  const monitor = pool.healthMonitor;
  return monitor && desired([monitor]).length === 1 && monitor.adminStateUp ? monitor : undefined;
}

export function desiredMembers(graph: LoadBalancerGraph): MemberNode[] {
  return desired(graph.pools).flatMap((pool) => desired(pool.members));
}

/** The VIP and the additional VIPs. */
export function vipAddresses({ vip, additionalVips }: LoadBalancerGraph): string[] {
  return [vip, ...additionalVips].map(({ address }) => address).filter((address) => address !== '');
}
