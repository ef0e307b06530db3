import type { Effects } from '../machines/effects.ts';
import type { RetryPolicy } from '../model/effect.ts';
import { allocateVip } from './allocate-vip.ts';
import { awaitAgent } from './await-agent.ts';
import { Configured } from './configured.ts';
import type { EffectDependencies } from './dependencies.ts';
import { placeServer } from './place-server.ts';
import { plugPorts } from './plug-ports.ts';
import { pushConfig } from './push-config.ts';
import { pushFirewall } from './push-firewall.ts';
import { pushSettings } from './push-settings.ts';
import { releaseAmphora } from './release-amphora.ts';
import { releaseVip } from './release-vip.ts';

/** Every effect that the charts name, with how it is retried. The charts' own deadlines hold besides. */
export function createEffects(dependencies: EffectDependencies): Effects {
  const {
    config,
    provider: { pace },
  } = dependencies;
  const provider: RetryPolicy = {
    attempts: config.effect_attempts,
    deadlineMs: config.delete_deadline_seconds * 500,
    backoffMs: config.effect_backoff_seconds * 1000,
    maxBackoffMs: 10_000,
  };
  // What is not released stays until somebody repeats the delete: a service that is away for a minute is waited for.
  const release: RetryPolicy = { ...provider, attempts: Number.POSITIVE_INFINITY };
  const agent: RetryPolicy = { ...provider, deadlineMs: config.agent_deadline_seconds * 1000 };
  // An agent in a namespace answers within half a second.
  const boot: RetryPolicy = {
    attempts: Number.POSITIVE_INFINITY,
    deadlineMs: config.boot_deadline_seconds * 1000,
    backoffMs: 50,
    maxBackoffMs: pace.bootLookMs,
  };
  const configured = new Configured();
  return {
    allocateVip: { run: allocateVip(dependencies), retry: provider, callsProvider: true },
    releaseVip: { run: releaseVip(dependencies), retry: release, callsProvider: true },
    placeServer: { run: placeServer(dependencies), retry: provider, callsProvider: true },
    awaitAgent: { run: awaitAgent(dependencies), retry: boot },
    plugPorts: {
      run: plugPorts(dependencies),
      retry: { ...agent, deadlineMs: agent.deadlineMs + pace.plugMs },
      callsProvider: true,
    },
    pushConfig: { run: pushConfig(dependencies, configured), retry: agent },
    pushSettings: { run: pushSettings(dependencies), retry: agent },
    pushFirewall: { run: pushFirewall(dependencies, configured), retry: agent },
    // It follows no configuration: one that was noted may be old by now.
    tryFirewall: { run: pushFirewall(dependencies, new Configured()), retry: { ...agent, attempts: 1 } },
    releaseAmphora: { run: releaseAmphora(dependencies), retry: release, callsProvider: true },
  };
}
