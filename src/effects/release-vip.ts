import type { EffectInput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { loadGraph } from '../store/load-balancer-graph.ts';
import type { EffectDependencies } from './dependencies.ts';
import { securityGroupName, serverGroupName, vipPortName } from './names.ts';

/**
 * Delete what belongs to the load balancer as a whole: the VIP's port, unless the user brought it, and the groups of its
 * amphorae. Found by name, so that one of a lost answer goes too.
 */
export function releaseVip({ db, provider }: EffectDependencies) {
  return async ({ loadBalancerId }: EffectInput<'releaseVip'>, context: EffectContext): Promise<null> => {
    await provider.securityGroups?.delete(securityGroupName(loadBalancerId), context);
    await provider.compute.deleteAntiAffinityGroup?.(serverGroupName(loadBalancerId), context);
    const graph = await loadGraph(db, loadBalancerId);
    if (graph && !graph.vipPortOwned) return null;
    const name = vipPortName(loadBalancerId);
    const ports = await provider.network.listPorts({ namePrefix: name }, context);
    for (const port of ports) {
      if (port.name === name) await provider.network.deletePort(port.id, context);
    }
    return null;
  };
}
