import type { AnyStateMachine } from 'xstate';
import { TransientError } from '../model/errors.ts';
import type { Envelope, Reply } from './bus.ts';
import type { EffectResult } from './effect-runner.ts';
import { type ActorEvent, effectDone, effectFailed, interpret, rerun } from './interpreter.ts';
import { RESUME } from './mailbox.ts';
import type { ActorId, ActorRow, ActorStore, Cause, Commit, CommitResult, StoredTimer } from './store.ts';
import { readStored } from './stored-snapshot.ts';
import { advance, followersOf, type Part, partsOf } from './turn.ts';

/** How many waiting messages of one actor are held in memory; the others wait as rows. */
const MAILBOX_IN_MEMORY = 64;

/** A conflict means that the actor was loaded too early; more than this many in a row mean a defect. */
const MAX_CONFLICTS = 5;

/** What the sender of a message is told. */
const QUARANTINED = 'the actor is quarantined, and the message waits';

type Delivery =
  | { from: 'message'; envelope: Envelope }
  | { from: 'timer'; timer: StoredTimer }
  | { from: 'effect'; effectId: string; token: number; result: EffectResult }
  /** Nothing comes, but the actor took part in a commit that got no answer. */
  | { from: 'doubt' };

/** An event taken by the chart, as it is to be committed. */
type Taken = Pick<Commit, 'event' | 'outcome' | 'deadLetter'>;

/** What an actor needs of its node. */
export interface ActorHost {
  readonly node: string;
  readonly store: ActorStore;
  machineOf(actor: ActorId): AnyStateMachine;
  /** Epoch of this node's lease for the partition; undefined when it has none. */
  epochOf(partition: number): number | undefined;
  /** Run what the actor has started and nobody runs. */
  resume(actor: ActorRow, epoch: number): void;
  /** The actor, if it is in memory. */
  atHand(actor: ActorId): Actor | undefined;
  /** The actor, brought into memory if need be; undefined when its partition is not ours. */
  actorOf(actor: ActorRow): Actor | undefined;
  /** After a commit: carry messages, start and stop effects, schedule timers. */
  committed(parts: Part[], sent: Envelope[], epoch: number): void;
  /** Somebody waits for what became of a message. */
  reply(address: string, reply: Reply): void;
  /** The store refused a commit because the partition is not ours. */
  fenced(partition: number): void;
  /** An event that the actor cannot process was set aside. */
  buried(actor: ActorId, event: ActorEvent, error: unknown): void;
  /** The actor itself cannot be read or go on: set it aside. */
  quarantine(actor: ActorRow, error: unknown, epoch: number): Promise<void>;
  /** The store could not be asked: call `again` in a while. */
  postponed(actor: ActorId, error: unknown, again: () => void): void;
  /** The chart does not know the event in this state. */
  unhandled(actor: ActorRow, event: ActorEvent): void;
}

/**
 * One actor on the node that owns its partition: takes its events one at a time, in order, and commits each before the
 * next. What it holds in memory is a cache of its row; dropping it at any moment loses nothing.
 */
export class Actor {
  readonly id: ActorId;
  readonly partition: number;
  readonly #host: ActorHost;
  readonly #queue: Delivery[] = [];
  /** Messages in the queue, so that the bus and the sweep can both bring one. */
  readonly #queued = new Set<string>();
  #row: ActorRow | undefined;
  /** A commit got no answer: it may have been made, and what it started may not run. */
  #unsure = false;
  #busy = false;
  /** Ends when what the actor is busy with does. */
  #running: Promise<void> = Promise.resolve();
  #dropped = false;

  constructor(id: ActorId, partition: number, host: ActorHost, row?: ActorRow) {
    this.id = id;
    this.partition = partition;
    this.#host = host;
    this.#row = row;
  }

  get idle(): boolean {
    return !this.#busy && this.#queue.length === 0;
  }

  receive(envelope: Envelope): void {
    if (this.#queued.has(envelope.id) || this.#queued.size >= MAILBOX_IN_MEMORY) return;
    this.#queued.add(envelope.id);
    this.#deliver({ from: 'message', envelope });
  }

  timerFired(timer: StoredTimer): void {
    this.#deliver({ from: 'timer', timer });
  }

  effectEnded(effectId: string, token: number, result: EffectResult): void {
    this.#deliver({ from: 'effect', effectId, token, result });
  }

  /**
   * Have the actor take part in a commit of another, if nothing goes on here; its own events wait until that has `ended`.
   * @returns the actor as it is
   */
  lend(ended: Promise<void>): ActorRow | undefined {
    if (!this.idle || this.#dropped || this.#unsure) return undefined;
    if (this.#row === undefined) return undefined;
    this.#busy = true;
    this.#running = ended.then(() => {
      this.#busy = false;
      this.#wake();
    });
    return this.#row;
  }

  /** The actor is so now; undefined: the store knows. */
  become(row: ActorRow | undefined): void {
    this.#row = row;
  }

  /** It took part in a commit that got no answer: find out in a while how it is, and run what it has started. */
  doubt(error: unknown): void {
    this.#row = undefined;
    this.#unsure = true;
    this.#host.postponed(this.id, error, () => this.#deliver({ from: 'doubt' }));
  }

  /** Take no more events. Resolves when the one being committed is through. */
  async drop(): Promise<void> {
    this.#dropped = true;
    this.#queue.length = 0;
    await this.#running;
  }

  #deliver(delivery: Delivery): void {
    if (this.#dropped) return;
    this.#queue.push(delivery);
    this.#wake();
  }

  #wake(): void {
    if (this.#busy || this.#queue.length === 0) return;
    this.#busy = true;
    this.#running = this.#drain();
  }

  /** Not left to the sweep: the result of an effect is nowhere else, nor is a message whose commit got no answer. */
  #redeliver(delivery: Delivery): void {
    if (delivery.from === 'message') this.receive(delivery.envelope);
    else this.#deliver(delivery);
  }

  async #drain(): Promise<void> {
    let delivery = this.#queue[0];
    while (delivery !== undefined && !this.#dropped) {
      try {
        await this.#process(delivery);
        this.#forget(delivery);
      } catch (error) {
        this.#row = undefined;
        this.#unsure = true;
        this.#forget(delivery);
        const again = delivery;
        this.#host.postponed(this.id, error, () => this.#redeliver(again));
      }
      delivery = this.#queue[0];
    }
    this.#busy = false;
  }

  #forget(delivery: Delivery): void {
    const index = this.#queue.indexOf(delivery);
    if (index >= 0) this.#queue.splice(index, 1);
    if (delivery.from === 'message') this.#queued.delete(delivery.envelope.id);
  }

  async #process(delivery: Delivery): Promise<void> {
    let alone = false;
    for (let conflicts = 0; conflicts <= MAX_CONFLICTS; conflicts++) {
      const stored = this.#row ?? (await this.#host.store.load(this.id));
      if (stored === undefined || stored.done || stored.quarantined !== null) {
        return this.#refuse(stored, delivery);
      }
      const epoch = this.#host.epochOf(this.partition);
      // Perhaps the lease is only being renewed. If it is lost, the actor is dropped before it tries again.
      if (epoch === undefined)
        throw new TransientError('lease_ended', 'the lease of the partition has ended');
      let row: ActorRow;
      let step: Pick<Commit, 'actor' | 'cause'> & Taken;
      try {
        row = this.#row ?? readStored(this.#host.machineOf(this.id), stored);
        this.#row = row;
        const answered =
          delivery.from === 'effect' && row.effects[delivery.effectId]?.token === delivery.token;
        if (this.#unsure && !answered) this.#host.resume(row, epoch);
        this.#unsure = false;
        if (delivery.from === 'doubt' || (delivery.from === 'effect' && !answered)) return;
        const { event, cause } = read(delivery);
        step = { actor: row, cause, ...this.#take(row, event) };
      } catch (error) {
        this.#row = undefined;
        await this.#host.quarantine(stored, error, epoch);
        return this.#fail(delivery, stored, QUARANTINED);
      }
      const { result } = await this.#commit({ ...step, node: this.#host.node, epoch }, alone);
      switch (result) {
        case 'committed':
          return this.#answer(delivery, {
            ...{ fromState: step.outcome.previousState, toState: step.outcome.state },
            ...{ handled: step.outcome.handled, error: step.deadLetter?.error ?? null },
          });
        case 'duplicate':
          return;
        case 'fenced':
          this.#row = undefined;
          return this.#host.fenced(this.partition);
        case 'disordered':
          if (alone) return this.#reorder(delivery);
          break;
        case 'conflict':
          this.#row = undefined;
      }
      // Perhaps it was the fault of another actor, which had no need to take part.
      alone = true;
    }
    throw new Error(`${this.id.kind} ${this.id.id} changed under ${MAX_CONFLICTS} commits in a row`);
  }

  /** Make a commit, of the step alone or together with all that follows from it at once, and carry it out. */
  async #commit(step: Omit<Commit, 'followers'>, alone: boolean): Promise<CommitResult> {
    const host = this.#host;
    const lent = new Set<Actor>();
    const ended = Promise.withResolvers<void>();
    const lend = (id: ActorId): ActorRow | undefined => {
      const actor = host.atHand(id);
      const row = actor?.partition === this.partition ? actor.lend(ended.promise) : undefined;
      if (actor && row) lent.add(actor);
      return row;
    };
    try {
      const followers = alone ? [] : followersOf(step, (id) => host.machineOf(id), lend);
      const commit = { ...step, followers };
      const parts = partsOf(commit);
      const committed = await host.store.commit(commit).catch((error) => {
        for (const { before } of parts) if (before !== step.actor) host.actorOf(before)?.doubt(error);
        throw error;
      });
      if (committed.result !== 'committed') {
        for (const actor of lent) actor.become(undefined);
        return committed;
      }
      for (const { after } of parts) host.actorOf(after)?.become(after);
      if (step.deadLetter) host.buried(this.id, step.deadLetter.event, step.deadLetter.error);
      for (const each of [commit, ...followers]) {
        if (!each.outcome.handled) host.unhandled(advance(each), each.event);
      }
      host.committed(parts, committed.sent, step.epoch);
      return committed;
    } finally {
      ended.resolve();
    }
  }

  /**
   * What the chart makes of an event. One that makes it throw would come again for ever: it becomes a dead letter, and
   * the chart learns of it by POISONED.
   * @throws whatever the chart throws on POISONED too
   */
  #take(row: ActorRow, event: ActorEvent): Taken {
    const machine = this.#host.machineOf(this.id);
    if (event.type === RESUME.type && row.snapshot !== null) {
      return { event, outcome: rerun(machine, { ...row, snapshot: row.snapshot }) };
    }
    try {
      return { event, outcome: interpret(machine, row, event) };
    } catch (error) {
      const message = `${event.type} could not be processed: ${String(error)}`;
      const poisoned = {
        type: 'POISONED',
        error: { kind: 'terminal', code: 'poisoned', message },
      };
      return {
        event: poisoned,
        outcome: interpret(machine, row, poisoned),
        deadLetter: { event, error: String(error) },
      };
    }
  }

  /** Messages to an actor that has ended, or never was, are of no use to anyone. A quarantined one keeps its rows. */
  async #refuse(row: ActorRow | undefined, delivery: Delivery): Promise<void> {
    if (delivery.from !== 'message') return;
    if (row?.quarantined) return this.#fail(delivery, row, QUARANTINED);
    const reason = row ? 'the actor has ended' : 'there is no such actor';
    await this.#host.store.bury(delivery.envelope, reason);
    this.#fail(delivery, row, reason);
  }

  #fail(delivery: Delivery, row: ActorRow | undefined, error: string): void {
    const state = row?.state ?? '';
    this.#answer(delivery, { fromState: state, toState: state, handled: false, error });
  }

  #answer(delivery: Delivery, reply: Reply): void {
    const address = delivery.from === 'message' ? delivery.envelope.replyTo : undefined;
    if (address !== undefined) this.#host.reply(address, reply);
  }

  /** The bus lost or overtook an earlier message: take the mailbox as it is stored. */
  async #reorder(delivery: Delivery): Promise<void> {
    this.#forget(delivery);
    const stored = await this.#host.store.mailbox(this.id, MAILBOX_IN_MEMORY);
    const others = this.#queue.filter(({ from }) => from !== 'message');
    this.#queued.clear();
    this.#queue.length = 0;
    this.#queue.push(...others);
    for (const envelope of stored) this.receive(envelope);
  }
}

function read(delivery: Exclude<Delivery, { from: 'doubt' }>): { event: ActorEvent; cause: Cause } {
  switch (delivery.from) {
    case 'message': {
      const { id, seq, event } = delivery.envelope;
      return { event: event as ActorEvent, cause: { from: 'message', messageId: id, seq } };
    }
    case 'timer': {
      const { event, name, armedVersion } = delivery.timer;
      return { event, cause: { from: 'timer', name, armedVersion } };
    }
    case 'effect': {
      const { effectId, token, result } = delivery;
      const event =
        'output' in result ? effectDone(effectId, result.output) : effectFailed(effectId, result.error);
      return { event, cause: { from: 'effect', effectId, token } };
    }
  }
}
