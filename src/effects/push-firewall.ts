import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { renderSecurityGroup } from '../render/security-group.ts';
import { agentOf, type EffectDependencies, requireAmphora } from './dependencies.ts';

/** Bring the amphora's firewall to the load balancer as it is stored now. */
export function pushFirewall({ db, provider: { agent } }: EffectDependencies) {
  return async (
    reference: EffectInput<'pushFirewall'>,
    context: EffectContext,
  ): Promise<EffectOutput<'pushFirewall'>> => {
    const { graph, amphora } = await requireAmphora(db, reference);
    await agent.setSecurityGroup(agentOf(amphora, context), renderSecurityGroup(graph, amphora));
    return { revision: graph.revision };
  };
}
