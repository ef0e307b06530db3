import { hash } from 'node:crypto';

export const ACTOR_KINDS = ['load-balancer', 'amphora'] as const;
export type ActorKind = (typeof ACTOR_KINDS)[number];

/** Names an actor. Both kinds are placed by their load balancer, so that its amphorae share its partition. */
export interface ActorAddress {
  kind: ActorKind;
  id: string;
  loadBalancerId: string;
}

/** Number of partitions; part of the stored data, never changed. */
export const PARTITIONS = 64;

/** The partition of a load balancer and all its amphorae: the first four bytes of SHA-256 of its id, mod 64. */
export function partitionOf(loadBalancerId: string): number {
  return hash('sha256', loadBalancerId, 'buffer').readUInt32BE(0) % PARTITIONS;
}
