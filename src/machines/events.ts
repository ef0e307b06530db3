import type { ErrorRecord } from '../model/errors.ts';
import type { Replacement } from '../model/replacement.ts';
import type { AmphoraRole, Topology } from '../model/status.ts';

/** Input of a load-balancer actor; stored with it, so it never changes. */
export interface LoadBalancerInput {
  loadBalancerId: string;
  topology: Topology;
  /** Ids for the amphorae to come, chosen by the creator so that the machine stays pure. */
  amphoraIds: string[];
}

export interface AmphoraInput {
  amphoraId: string;
  loadBalancerId: string;
  role: AmphoraRole;
  round: number;
}

/** What the REST API tells a load balancer. Its birth is the actor itself (see `mailbox.spawn`). */
export type LoadBalancerCommand =
  /**
   * Rows changed up to `revision`. `memberPorts`: a member with a subnet came or went, so ports may have to.
   * `subject`: whether the load balancer itself was changed, or something below it.
   */
  | { type: 'CHANGED'; revision: number; memberPorts: boolean; subject?: 'loadBalancer' | 'child' }
  | { type: 'DELETE' }
  /**
   * Put new amphorae in the place of these, one after the other, in this order. `automatic`: nobody asked for it, and the
   * failover limiter has let it pass (`src/failover/`).
   */
  | { type: 'FAILOVER'; replacements: Replacement[]; automatic?: boolean };

/**
 * What health monitoring tells a load balancer about an amphora whose heartbeats have stopped, or come again. The load
 * balancer notes it; the failover limiter decides whether and when that leads to a failover, and says when it does not
 * because all of them are stopped. Saying it twice does no harm.
 */
export type HealthReport =
  | { type: 'AMPHORA_STALE'; amphoraId: string }
  | { type: 'AMPHORA_ALIVE'; amphoraId: string }
  | { type: 'AMPHORA_FAILOVER_STOPPED'; amphoraId: string };

/**
 * What a load balancer tells its amphorae. `round` comes back in the reports, so that an answer to an earlier command
 * is not taken for one to a later.
 */
export type AmphoraCommand =
  | { type: 'PLUG_PORTS'; round: number }
  | { type: 'SYNC'; round: number }
  | { type: 'RELEASE' }
  /** Its agent is to be told its settings anew. From the REST API; nobody waits for it. */
  | { type: 'CONFIGURE' }
  /** Of a pair, the other one goes on without it, until it answers again. */
  | { type: 'EXCLUDE'; error: ErrorRecord }
  /** Its heartbeats have stopped, or come again. */
  | { type: 'STALE' }
  | { type: 'ALIVE' };

/** The runtime's word to an actor that threw on an event: the event is among the dead letters. */
export interface Poisoned {
  type: 'POISONED';
  error: ErrorRecord;
}

/** What an amphora reports to its load balancer. */
export type AmphoraReport =
  | { type: 'AMPHORA_PLUGGED'; amphoraId: string; round: number }
  | { type: 'AMPHORA_CONFIGURED'; amphoraId: string; round: number }
  | { type: 'AMPHORA_SYNCED'; amphoraId: string; round: number; revision: number }
  | { type: 'AMPHORA_FAILED'; amphoraId: string; round: number; step: string; error: ErrorRecord }
  /** Its row says that it takes no part. */
  | { type: 'AMPHORA_EXCLUDED'; amphoraId: string }
  /** An excluded one can be reached again, and lets in no more than it should. */
  | { type: 'AMPHORA_ANSWERS'; amphoraId: string }
  | { type: 'AMPHORA_RELEASED'; amphoraId: string }
  | { type: 'AMPHORA_RELEASE_FAILED'; amphoraId: string; error: ErrorRecord };
