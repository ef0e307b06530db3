import { randomUUID } from 'node:crypto';
import type { Effect, EffectName, EffectOutput, Effects } from '../src/machines/effects.ts';
import type { Vip } from '../src/model/graph.ts';

const vip: Vip = { address: '198.18.0.10', subnetId: randomUUID(), networkId: randomUUID(), portId: null };

const outputs: { [N in EffectName]: () => EffectOutput<N> } = {
  allocateVip: () => ({ vip, additionalVips: [] }),
  releaseVip: () => null,
  placeServer: () => ({
    computeId: randomUUID(),
    certExpiration: null,
    zone: null,
    imageId: null,
    computeFlavor: null,
  }),
  awaitAgent: () => ({ managementAddress: '198.18.0.11' }),
  plugPorts: () => ({ ports: [], vrrpIp: '198.18.0.12', vip }),
  pushConfig: () => ({ revision: 1 }),
  pushFirewall: () => ({ revision: 1 }),
  tryFirewall: () => ({ revision: 1 }),
  pushSettings: () => null,
  releaseAmphora: () => null,
};

/** Effects that are done at once, so that only the runtime is measured. */
export const instantEffects = effectsThat(async (name) => outputs[name]());

/** Effects that end when they are cancelled, and not before. */
export const hangingEffects = effectsThat(
  (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
);

function effectsThat(work: (name: EffectName, signal: AbortSignal) => Promise<unknown>): Effects {
  const retry = { attempts: 1, deadlineMs: 3_600_000, backoffMs: 1, maxBackoffMs: 1 };
  const entries = (Object.keys(outputs) as EffectName[]).map((name): [EffectName, Effect] => [
    name,
    { retry, run: (_, { signal }) => work(name, signal) },
  ]);
  return Object.fromEntries(entries) as Effects;
}
