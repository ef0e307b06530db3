import type { SendParams, SpawnParams } from '../machines/actions.ts';
import type { ActorKind } from '../machines/address.ts';
import type { Envelope } from './bus.ts';
import type { ActorEvent, ActorState, Outcome } from './interpreter.ts';

export interface ActorId {
  kind: ActorKind;
  id: string;
}

/** A stored actor. */
export interface ActorRow extends ActorState, ActorId {
  partition: number;
  state: string;
  machineVersion: number;
  done: boolean;
  quarantined: string | null;
}

/** What an event came from; the commit that applies the event consumes it. */
export type Cause =
  | { from: 'message'; messageId: string; seq: number }
  | { from: 'timer'; name: string; armedVersion: number }
  /** Results are not stored: an effect that did not get its result committed is run again. */
  | { from: 'effect'; effectId: string; token: number };

/** One event applied to one actor, which is as it was before. */
export interface Step {
  actor: ActorRow;
  event: ActorEvent;
  outcome: Outcome;
}

/** A step whose event is what an earlier one of the same commit sends, or the birth of what that spawns. */
export interface Follower extends Step {
  takes: SendParams | SpawnParams;
}

/** One step, and those of actors of the same partition that follow from it at once: all becomes true, or nothing. */
export interface Commit extends Step {
  cause: Cause;
  followers: Follower[];
  /** What came from the cause, when the chart could not take it and `event` says so instead: kept as a dead letter. */
  deadLetter?: { event: ActorEvent; error: string };
  /** The committing node's lease. */
  node: string;
  epoch: number;
}

/**
 * - `committed`: applied; `sent` are the stored messages, without those that followers took.
 * - `duplicate`: the cause was consumed before.
 * - `conflict`: an actor has changed since it was loaded.
 * - `disordered`: an earlier message for an actor waits. Where that is a follower, or one has changed, it is either.
 * - `fenced`: the partition belongs to another node or epoch.
 */
export type CommitResult =
  | { result: 'committed'; sent: Envelope[] }
  | { result: 'duplicate' | 'conflict' | 'disordered' | 'fenced' };

export interface StoredTimer extends ActorId {
  partition: number;
  name: string;
  event: ActorEvent;
  armedVersion: number;
  /** Milliseconds from now by the database's clock; negative when overdue. */
  dueInMs: number;
}

export interface Lease {
  partition: number;
  epoch: number;
}

/** What a node has after it has renewed its leases. */
export interface Renewal {
  /** All leases held now. */
  leases: Lease[];
  /** How many it may hold. */
  share: number;
  /** Until the first lease of another node ends, unless that renews it; infinite where there is none. */
  freeInMs: number;
}

/** What the runtime asks of its store. Times are the database's clock. */
export interface ActorStore {
  load(actor: ActorId): Promise<ActorRow | undefined>;
  commit(commit: Commit): Promise<CommitResult>;
  /** Waiting messages of one actor, in order. */
  mailbox(actor: ActorId, limit: number): Promise<Envelope[]>;
  /** Waiting messages of the partitions, oldest first; those of quarantined actors wait on. */
  waiting(partitions: number[], limit: number): Promise<Envelope[]>;
  /** Actors of a partition that have effects to run. */
  busy(partition: number): Promise<ActorRow[]>;
  /** Timers of the partitions that are due within `horizonMs`, those of quarantined actors excepted. */
  timers(partitions: number[], horizonMs: number): Promise<StoredTimer[]>;
  /** Take a message out of the way that its actor cannot process, and say why. */
  bury(envelope: Envelope, error: string): Promise<void>;
  /** Set an actor aside until an operator resumes it, if it is still as it was loaded and the partition is ours. */
  quarantine(actor: ActorRow, reason: string, node: string, epoch: number): Promise<void>;
  /**
   * Announce the node, renew its leases of `leaseMs` and, up to an even share among the live nodes, take free ones. With
   * `inherit`, leases that an earlier process of the same node left are taken over at once. A node that is being drained has
   * no share, until it is resumed or has announced its end.
   */
  renewLeases(node: string, leaseMs: number, inherit: boolean): Promise<Renewal>;
  /** Give leases back before their end, so that other nodes can take them at once. */
  releaseLeases(node: string, partitions: number[]): Promise<void>;
  /** Announce the end of the node. */
  removeNode(node: string): Promise<void>;
}
