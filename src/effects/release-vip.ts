import type { EffectInput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import type { Call } from '../providers/call.ts';
import type { Network } from '../providers/network.ts';
import { loadGraph } from '../store/load-balancer-graph.ts';
import type { EffectDependencies } from './dependencies.ts';
import { securityGroupName, serverGroupName, vipPortName } from './names.ts';

/**
 * Delete what belongs to the load balancer as a whole: the VIP's port, unless the user brought it, and the groups of its
 * amphorae. Found by name, so that one of a lost answer goes too.
 */
export function releaseVip({ db, provider }: EffectDependencies) {
  return async ({ loadBalancerId }: EffectInput<'releaseVip'>, context: EffectContext): Promise<null> => {
    await provider.compute.deleteAntiAffinityGroup?.(serverGroupName(loadBalancerId), context);
    const graph = await loadGraph(db, loadBalancerId);
    if (graph?.vipPortOwned !== false) await deleteVipPort(provider.network, loadBalancerId, context);
    // Its members are gone only now.
    await provider.securityGroups?.delete(securityGroupName(loadBalancerId), context);
    return null;
  };
}

async function deleteVipPort(network: Network, loadBalancerId: string, call: Call): Promise<void> {
  const name = vipPortName(loadBalancerId);
  for (const port of await network.listPorts({ namePrefix: name }, call)) {
    if (port.name === name) await network.deletePort(port.id, call);
  }
}
