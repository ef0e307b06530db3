import type {
  HealthMonitorNode,
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
  return desired(graph.pools).find(({ id, adminStateUp }) => id === listener.defaultPoolId && adminStateUp);
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
