import type { ActorKind } from '../machines/address.ts';

/** A message as it is stored and carried. `seq` orders the messages of one actor. */
export interface Envelope {
  id: string;
  seq: number;
  partition: number;
  kind: ActorKind;
  actorId: string;
  event: { type: string };
  /** Address of an inbox where the sender waits for what becomes of it. */
  replyTo?: string;
  /** Input of the actor that was made together with the message: who gets it first need not load the actor. Not stored. */
  born?: object;
}

/** What became of a message: the actor took it, and is in `toState` now; or it could not, for the reason in `error`. */
export interface Reply {
  fromState: string;
  toState: string;
  /** The chart knows the event in the state it was in. */
  handled: boolean;
  error: string | null;
}

/** Where one reply is waited for. */
export interface Inbox {
  address: string;
  /** Resolves with the first reply. @throws TransientError `no_reply` after `deadlineMs` */
  reply(deadlineMs: number): Promise<Reply>;
  close(): void;
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
  /** Open it before the message is sent that names its address. */
  openInbox(): Inbox;
  /** Tell whoever waits there. Never throws: the sender has a deadline. */
  reply(address: string, reply: Reply): void;
  close(): Promise<void>;
}
