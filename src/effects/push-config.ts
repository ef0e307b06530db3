import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { renderHaproxy } from '../render/haproxy.ts';
import { renderKeepalived } from '../render/keepalived.ts';
import { agentOf, type EffectDependencies, requireAmphora } from './dependencies.ts';

/** Bring haproxy, and keepalived in a pair, to the load balancer as it is stored now; without a listener there is no haproxy. */
export function pushConfig({ db, provider: { agent } }: EffectDependencies) {
  return async (
    reference: EffectInput<'pushConfig'>,
    context: EffectContext,
  ): Promise<EffectOutput<'pushConfig'>> => {
    const { graph, amphora } = await requireAmphora(db, reference);
    const target = agentOf(amphora, context);
    const config = renderHaproxy(graph, amphora);
    if (config === undefined) {
      await agent.deleteHaproxy(target, graph.id);
    } else {
      const { inForce } = await agent.uploadHaproxy(target, graph.id, config);
      if (!inForce) await agent.reloadHaproxy(target, graph.id);
    }
    const keepalived = renderKeepalived(graph, amphora);
    if (keepalived !== undefined) {
      await agent.uploadKeepalived(target, keepalived);
      await agent.reloadKeepalived(target);
    }
    return { revision: graph.revision };
  };
}
