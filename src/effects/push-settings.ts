import type { EffectInput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { agentSettings } from './agent-settings.ts';
import { agentOf, type EffectDependencies, requireAmphora } from './dependencies.ts';

/** Tell the agent what one that starts now would be told: above all, to whom and how often its heartbeats go. */
export function pushSettings({ db, provider: { agent }, heartbeat }: EffectDependencies) {
  return async (reference: EffectInput<'pushSettings'>, context: EffectContext): Promise<null> => {
    const { graph, amphora } = await requireAmphora(db, reference);
    await agent.configure(agentOf(amphora, context), agentSettings(graph, amphora, heartbeat));
    return null;
  };
}
