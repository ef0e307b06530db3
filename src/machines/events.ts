import type { ErrorRecord } from '../model/errors.ts';
import type { Topology } from '../model/status.ts';

/** Input of a load-balancer actor; stored with it, so it never changes. */
export interface LoadBalancerInput {
  loadBalancerId: string;
  topology: Topology;
  /** Ids for the amphorae to come, chosen by the creator so that the machine stays pure. */
  amphoraIds: string[];
}

/** What the REST API tells a load balancer. Its birth is the actor itself (see `mailbox.spawn`). */
export type LoadBalancerCommand =
  /** Rows changed up to `revision`. `memberPorts`: a member with a subnet came or went, so ports may have to. */
  { type: 'CHANGED'; revision: number; memberPorts: boolean } | { type: 'DELETE' };

/** What an amphora reports to its load balancer. */
export type AmphoraReport =
  | { type: 'AMPHORA_PLUGGED'; amphoraId: string }
  | { type: 'AMPHORA_CONFIGURED'; amphoraId: string; revision: number }
  | { type: 'AMPHORA_SYNCED'; amphoraId: string; revision: number }
  | { type: 'AMPHORA_FAILED'; amphoraId: string; step: string; error: ErrorRecord }
  | { type: 'AMPHORA_RELEASED'; amphoraId: string }
  | { type: 'AMPHORA_RELEASE_FAILED'; amphoraId: string; error: ErrorRecord };

/** What a load balancer tells its amphorae. */
export type AmphoraCommand = { type: 'PLUG_PORTS' } | { type: 'SYNC' } | { type: 'RELEASE' };
