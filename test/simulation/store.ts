import type { Envelope } from '../../src/actors/bus.ts';
import type { ActorEvent } from '../../src/actors/interpreter.ts';
import { START } from '../../src/actors/mailbox.ts';
import type {
  ActorId,
  ActorRow,
  ActorStore,
  Commit,
  CommitResult,
  Renewal,
  Step,
  StoredTimer,
} from '../../src/actors/store.ts';
import { letterOf, sentBy } from '../../src/actors/turn.ts';
import { type ActorAddress, PARTITIONS, partitionOf } from '../../src/machines/address.ts';
import { machineVersions } from '../../src/machines/registry.ts';
import type { RowChange } from '../../src/machines/row-change.ts';
import type { Random } from './random.ts';

export interface StoredActor extends ActorRow {
  epoch: number;
  /** By the database's clock. */
  updatedAt: number;
}

interface Timer extends Omit<StoredTimer, 'dueInMs'> {
  dueAt: number;
}

interface Partition {
  owner: string | null;
  epoch: number;
  leaseUntil: number;
}

interface DeadLetter {
  actor: ActorId;
  event: { type: string };
  error: string;
}

export interface SimulatedStoreParts {
  /** The database's clock, in milliseconds. */
  now(): number;
  random: Random;
  applyRowChange(change: RowChange): void;
}

/**
 * The runtime's store in memory, with the meaning of the one in PostgreSQL: both pass `test/contract/actor-store.ts`.
 * Every call takes effect at once; what comes out is a copy, as from a database.
 */
export class SimulatedStore implements ActorStore {
  readonly #parts: SimulatedStoreParts;
  readonly #actors = new Map<string, StoredActor>();
  readonly #messages = new Map<string, Envelope>();
  readonly #timers = new Map<string, Timer>();
  readonly #partitions: Partition[];
  readonly #nodes = new Map<string, { seenAt: number; draining: boolean }>();
  readonly #deadLetters = new Map<string, DeadLetter>();
  #seq = 0;

  constructor(parts: SimulatedStoreParts) {
    this.#parts = parts;
    this.#partitions = Array.from({ length: PARTITIONS }, () => ({
      owner: null,
      epoch: 0,
      leaseUntil: Number.NEGATIVE_INFINITY,
    }));
  }

  async load(actor: ActorId): Promise<ActorRow | undefined> {
    const row = this.#actors.get(keyOf(actor));
    return row && copy(row);
  }

  async commit(commit: Commit): Promise<CommitResult> {
    const { actor, cause, followers } = commit;
    const row = this.#actors.get(keyOf(actor));
    if (row === undefined) return { result: 'duplicate' };
    if (!this.owns(commit, row)) return { result: 'fenced' };
    const changed = (each: Step) =>
      (this.#actors.get(keyOf(each.actor))?.version ?? 0) !== each.actor.version;
    if ([commit, ...firstStepsOfOthers(commit)].some(changed)) return { result: 'conflict' };
    if (!this.inOrder(commit)) return { result: 'disordered' };
    if (!this.consume(commit)) return { result: 'duplicate' };

    if (commit.deadLetter) {
      const id = cause.from === 'message' ? cause.messageId : this.#parts.random.uuid();
      this.#deadLetters.set(id, { actor: { kind: row.kind, id: row.id }, ...copy(commit.deadLetter) });
    }
    const taken = new Set<object>(followers.map(({ takes }) => takes));
    const sent = [commit, ...followers].flatMap((step) => this.#apply(step, commit.epoch, taken));
    return { result: 'committed', sent };
  }

  /** @returns what is sent and not among what is `taken` in the same commit */
  #apply({ actor, outcome }: Step, epoch: number, taken: Set<object>): Envelope[] {
    const row = this.#actors.get(keyOf(actor));
    if (row === undefined) throw new Error(`there is no ${keyOf(actor)}`);
    const { state, done } = outcome;
    const { snapshot, effects } = copy({ snapshot: outcome.snapshot, effects: outcome.effects });
    const machineVersion = machineVersions[row.kind];
    const version = row.version + 1;
    const updatedAt = this.#parts.now();
    Object.assign(row, { snapshot, state, effects, done, machineVersion, epoch, version, updatedAt });
    for (const name of outcome.disarmedTimers) this.#timers.delete(timerKey(row, name));
    for (const { name, event, delayMs } of copy(outcome.armedTimers)) {
      const { kind, id, partition, version: armedVersion } = row;
      const dueAt = this.#parts.now() + delayMs;
      this.#timers.set(timerKey(row, name), { kind, id, partition, name, event, armedVersion, dueAt });
    }
    for (const { address, input } of outcome.spawned) this.#bear(address, input);
    for (const change of copy(outcome.rowChanges)) this.#parts.applyRowChange(change);
    return sentBy(outcome)
      .filter((each) => !taken.has(each))
      .map((each) => {
        const { to, event } = letterOf(each);
        return this.send(to, event);
      });
  }

  async mailbox(actor: ActorId, limit: number): Promise<Envelope[]> {
    return copy(this.#mailboxOf(actor).slice(0, limit));
  }

  async waiting(partitions: number[], limit: number): Promise<Envelope[]> {
    const waiting = [...this.#messages.values()].filter(
      ({ partition, kind, actorId: id }) =>
        partitions.includes(partition) && !this.#quarantined({ kind, id }),
    );
    return copy(waiting.slice(0, limit));
  }

  async busy(partition: number): Promise<ActorRow[]> {
    const busy = this.actors().filter(
      (row) => row.partition === partition && Object.keys(row.effects).length > 0 && row.quarantined === null,
    );
    return copy(busy);
  }

  async timers(partitions: number[], horizonMs: number): Promise<StoredTimer[]> {
    const now = this.#parts.now();
    return [...this.#timers.values()]
      .filter(({ partition, dueAt }) => partitions.includes(partition) && dueAt <= now + horizonMs)
      .filter((timer) => !this.#quarantined(timer))
      .map(({ dueAt, ...timer }) => ({ ...copy(timer), dueInMs: dueAt - now }));
  }

  async bury(envelope: Envelope, error: string): Promise<void> {
    if (!this.#messages.delete(envelope.id)) return;
    const { id, kind, actorId, event } = envelope;
    this.#deadLetters.set(id, { actor: { kind, id: actorId }, event, error });
  }

  async quarantine(actor: ActorRow, reason: string, node: string, epoch: number): Promise<void> {
    const row = this.#actors.get(keyOf(actor));
    const lease = this.#partitions[actor.partition];
    if (row?.version === actor.version && lease?.owner === node && lease.epoch === epoch) {
      row.quarantined = reason;
    }
  }

  async renewLeases(node: string, leaseMs: number, inherit: boolean): Promise<Renewal> {
    const now = this.#parts.now();
    const draining = this.#nodes.get(node)?.draining ?? false;
    this.#nodes.set(node, { seenAt: now, draining });
    const held = ({ owner, leaseUntil }: Partition) => owner === node && leaseUntil > now;
    if (inherit) {
      for (const partition of this.#partitions)
        if (partition.owner === node) partition.leaseUntil = Number.NEGATIVE_INFINITY;
    }
    const kept = this.#partitions.filter(held);
    for (const partition of kept) partition.leaseUntil = now + leaseMs;

    const live = [...this.#nodes.values()].filter(
      (each) => each.seenAt > now - leaseMs && each.seenAt <= now + leaseMs && !each.draining,
    ).length;
    const share = draining ? 0 : Math.ceil(PARTITIONS / Math.max(live, 1));
    const free = this.#partitions.filter(
      ({ owner, leaseUntil }) => owner === null || leaseUntil <= now || leaseUntil > now + 2 * leaseMs,
    );
    const taken = this.#shuffled(free).sort((a, b) => Number(b.owner === node) - Number(a.owner === node));
    for (const partition of taken.slice(0, Math.max(share - kept.length, 0))) {
      Object.assign(partition, { owner: node, epoch: partition.epoch + 1, leaseUntil: now + leaseMs });
    }
    const leases = this.#partitions.flatMap((partition, index) =>
      held(partition) ? [{ partition: index, epoch: partition.epoch }] : [],
    );
    const others = this.#partitions.filter(
      ({ owner, leaseUntil }) => owner !== null && owner !== node && leaseUntil > now,
    );
    return { leases, share, freeInMs: Math.min(...others.map(({ leaseUntil }) => leaseUntil - now)) };
  }

  async releaseLeases(node: string, partitions: number[]): Promise<void> {
    for (const index of partitions) {
      const partition = this.#partitions[index];
      if (partition?.owner !== node) continue;
      Object.assign(partition, { owner: null, leaseUntil: Number.NEGATIVE_INFINITY });
    }
  }

  async removeNode(node: string): Promise<void> {
    this.#nodes.delete(node);
  }

  /** What an operator does: have a node hold nothing, or its share again. */
  drain(id: string, draining: boolean): void {
    const node = this.#nodes.get(id);
    if (node !== undefined) node.draining = draining;
  }

  /** What `Mailbox.spawn` does in a transaction of the API. */
  spawn(address: ActorAddress, input: object): Envelope {
    this.#bear(address, input);
    return { ...this.send(address, START), born: copy(input) };
  }

  #bear({ kind, id, loadBalancerId }: ActorAddress, input: object): void {
    const key = keyOf({ kind, id });
    if (this.#actors.has(key)) throw new Error(`actor ${key} exists`);
    this.#actors.set(key, {
      kind,
      id,
      partition: partitionOf(loadBalancerId),
      state: '',
      machineVersion: machineVersions[kind],
      done: false,
      quarantined: null,
      snapshot: null,
      input: copy(input),
      version: 0,
      effects: {},
      epoch: 0,
      updatedAt: this.#parts.now(),
    });
  }

  /** What `Mailbox.send` does in a transaction of the API. */
  send({ kind, id, loadBalancerId }: ActorAddress, event: { type: string }): Envelope {
    const partition = partitionOf(loadBalancerId);
    this.#seq += 1;
    const message = { id: this.#parts.random.uuid(), seq: this.#seq, partition, kind, actorId: id, event };
    this.#messages.set(message.id, copy(message));
    return message;
  }

  /** The database's clock. */
  now(): number {
    return this.#parts.now();
  }

  /** Everything stored, for those who look from outside. */
  actors(): readonly Readonly<StoredActor>[] {
    return [...this.#actors.values()];
  }

  actor(id: ActorId): Readonly<StoredActor> | undefined {
    return this.#actors.get(keyOf(id));
  }

  messages(): readonly Envelope[] {
    return [...this.#messages.values()];
  }

  armedTimers(): readonly { kind: string; id: string; name: string; event: ActorEvent }[] {
    return [...this.#timers.values()];
  }

  deadLetters(): readonly DeadLetter[] {
    return [...this.#deadLetters.values()];
  }

  lease(partition: number): Readonly<Partition> | undefined {
    return this.#partitions[partition];
  }

  /** The lease under which the commit is made is in force. What is protected is what seeded bugs take away. */
  protected owns({ node, epoch }: Commit, row: StoredActor): boolean {
    const lease = this.#partitions[row.partition];
    return lease?.owner === node && lease.epoch === epoch && row.epoch <= epoch;
  }

  /** No earlier message for the actor waits, and none at all for those that take what was never stored. */
  protected inOrder({ actor, cause, followers }: Commit): boolean {
    const first = cause.from === 'message' ? cause : { messageId: undefined, seq: Number.NEGATIVE_INFINITY };
    return (
      this.#mailboxOf(actor).every(({ seq }) => seq >= first.seq) &&
      followers.flatMap((step) => this.#mailboxOf(step.actor)).every(({ id }) => id === first.messageId)
    );
  }

  /** Take the cause away; false when it was taken before. */
  protected consume({ actor, cause }: Commit): boolean {
    switch (cause.from) {
      case 'message':
        return this.#messages.delete(cause.messageId);
      case 'timer': {
        const key = timerKey(actor, cause.name);
        return this.#timers.get(key)?.armedVersion === cause.armedVersion && this.#timers.delete(key);
      }
      case 'effect':
        return true;
    }
  }

  #quarantined(actor: ActorId): boolean {
    return typeof this.#actors.get(keyOf(actor))?.quarantined === 'string';
  }

  #mailboxOf({ kind, id }: ActorId): Envelope[] {
    return [...this.#messages.values()].filter((message) => message.actorId === id && message.kind === kind);
  }

  #shuffled<T>(list: T[]): T[] {
    return list
      .map((item) => ({ item, place: this.#parts.random.next() }))
      .sort((a, b) => a.place - b.place)
      .map(({ item }) => item);
  }
}

/** Of the actors that exist already and only follow. */
function firstStepsOfOthers({ actor, followers }: Commit): Step[] {
  const others = new Map<string, Step>();
  for (const step of followers) {
    const key = keyOf(step.actor);
    if (key !== keyOf(actor) && !others.has(key)) others.set(key, step);
  }
  return [...others.values()];
}

const keyOf = ({ kind, id }: ActorId) => `${kind}/${id}`;
const timerKey = (actor: ActorId, name: string) => `${keyOf(actor)}/${name}`;

/** What is stored is JSON. */
function copy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
