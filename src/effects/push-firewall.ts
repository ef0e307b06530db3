import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { ingressRules } from '../render/ingress-rules.ts';
import { renderSecurityGroup } from '../render/security-group.ts';
import type { Configured } from './configured.ts';
import { agentOf, type EffectDependencies, requireAmphora } from './dependencies.ts';
import { securityGroupName } from './names.ts';

/** Bring the amphora's firewall, and what the provider has in front of it, to the load balancer as it is stored now. */
export function pushFirewall(
  { db, provider: { agent, securityGroups } }: EffectDependencies,
  configured: Configured,
) {
  return async (
    reference: EffectInput<'pushFirewall'>,
    context: EffectContext,
  ): Promise<EffectOutput<'pushFirewall'>> => {
    const noted = configured.take(reference.amphoraId, context.epoch);
    const { graph, amphora } = noted ?? (await requireAmphora(db, reference));
    await Promise.all([
      agent.setSecurityGroup(agentOf(amphora, context), renderSecurityGroup(graph, amphora)),
      graph.vipVnicType === 'normal' &&
        securityGroups?.ensure(securityGroupName(graph.id), ingressRules(graph), context),
    ]);
    return { revision: graph.revision };
  };
}
