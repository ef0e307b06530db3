import type { ActorKind } from '../machines/address.ts';

/** A message as it is stored and carried. `seq` orders the messages of one actor. */
export interface Envelope {
  id: string;
  seq: number;
  partition: number;
  kind: ActorKind;
  actorId: string;
  event: { type: string };
}

/**
 * Carries envelopes between nodes, at most once and best effort: every envelope is also a row, and the owner of its
 * partition finds those that the bus lost.
 */
export interface Bus {
  /** Hand over to the owners of the partitions. Never throws: what cannot be sent is found by the sweep. */
  publish(envelopes: Envelope[]): void;
  /** Receive what is published for a partition until the returned function is called. */
  subscribe(partition: number, receive: (envelope: Envelope) => void): () => void;
  close(): Promise<void>;
}
