import { fromPromise } from 'xstate';
import type { EffectContext, RetryPolicy } from '../model/effect.ts';
import type { AmphoraPort, Vip } from '../model/graph.ts';

/**
 * The effects that machines invoke, by name: what goes in and what comes back. Machines only name them; the code is
 * in `src/effects/`, one file each, and the runtime connects the two. A failure arrives as an `ErrorRecord`.
 */
export interface EffectTypes {
  /** Make sure that the VIP's port exists and holds its addresses. */
  allocateVip: { input: { loadBalancerId: string }; output: { vip: Vip; additionalVips: Vip[] } };
  /** Give the VIP's port back, if it is ours. */
  releaseVip: { input: { loadBalancerId: string }; output: null };
  /** Start the amphora's server on a host that satisfies the flavor. */
  placeServer: { input: AmphoraRef; output: PlacedServer };
  /** Wait until the server runs and its agent answers. */
  awaitAgent: { input: AmphoraRef; output: { managementAddress: string } };
  /** Make the amphora's ports those that the load balancer's VIP and members need. */
  plugPorts: { input: AmphoraRef; output: { ports: AmphoraPort[]; vrrpIp: string; vip: Vip } };
  /** Push haproxy's configuration, made from the whole load balancer. */
  pushConfig: { input: AmphoraRef; output: { revision: number } };
  /** Push the firewall's rules, made from the whole load balancer. */
  pushFirewall: { input: AmphoraRef; output: { revision: number } };
  /** The same, tried once, where the amphora is probably not there. */
  tryFirewall: { input: AmphoraRef; output: { revision: number } };
  /** Push the settings of the agent itself. */
  pushSettings: { input: AmphoraRef; output: null };
  /** Delete the server and every port of the amphora. */
  releaseAmphora: { input: AmphoraRef; output: null };
}

export interface AmphoraRef {
  amphoraId: string;
  loadBalancerId: string;
}

export interface PlacedServer {
  computeId: string;
  /** ISO 8601; null when the server was found and not made, so that no certificate was issued now. */
  certExpiration: string | null;
  zone: string | null;
  imageId: string | null;
  computeFlavor: string | null;
}

export type EffectName = keyof EffectTypes;
export type EffectInput<N extends EffectName> = EffectTypes[N]['input'];
export type EffectOutput<N extends EffectName> = EffectTypes[N]['output'];

/** The code behind a name, and how it is tried again. */
export interface Effect {
  run(input: never, context: EffectContext): Promise<unknown>;
  retry: RetryPolicy;
  /** It makes or removes things at a provider: so many at once in the whole cloud, and no more. */
  callsProvider?: boolean;
}

export type Effects = Record<EffectName, Effect>;

/** The actor logic that stands for an effect in a chart: typed, and never run by XState. */
export function effect<N extends EffectName>(name: N) {
  return fromPromise<EffectOutput<N>, EffectInput<N>>(() => {
    throw new Error(`${name} is run by the actor runtime, not by XState`);
  });
}
