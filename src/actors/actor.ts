import type { AnyStateMachine } from 'xstate';
import { TransientError } from '../model/errors.ts';
import type { Envelope, Reply } from './bus.ts';
import type { EffectResult } from './effect-runner.ts';
import { type ActorEvent, effectDone, effectFailed, interpret, type Outcome, rerun } from './interpreter.ts';
import { RESUME } from './mailbox.ts';
import type { ActorId, ActorRow, ActorStore, Cause, Commit, StoredTimer } from './store.ts';
import { readStored } from './stored-snapshot.ts';

/** How many waiting messages of one actor are held in memory; the others wait as rows. */
const MAILBOX_IN_MEMORY = 64;

/** A conflict means that the actor was loaded too early; more than this many in a row mean a defect. */
const MAX_CONFLICTS = 5;

/** What the sender of a message is told. */
const QUARANTINED = 'the actor is quarantined, and the message waits';

type Delivery =
  | { from: 'message'; envelope: Envelope }
  | { from: 'timer'; timer: StoredTimer }
  | { from: 'effect'; effectId: string; token: number; result: EffectResult };

/** An event taken by the chart, as it is to be committed. */
type Step = Pick<Commit, 'event' | 'outcome' | 'deadLetter'>;

/** What an actor needs of its node. */
export interface ActorHost {
  readonly node: string;
  readonly store: ActorStore;
  machineOf(actor: ActorId): AnyStateMachine;
  /** Epoch of this node's lease for the partition; undefined when it has none. */
  epochOf(partition: number): number | undefined;
  /** Run what the actor has started and nobody runs. */
  resume(actor: ActorRow, epoch: number): void;
  /** After a commit: carry messages, start and stop effects, schedule timers. */
  committed(actor: ActorRow, event: ActorEvent, outcome: Outcome, sent: Envelope[], epoch: number): void;
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
  #running: Promise<void> | undefined;
  #dropped = false;

  constructor(id: ActorId, partition: number, host: ActorHost, row?: ActorRow) {
    this.id = id;
    this.partition = partition;
    this.#host = host;
    this.#row = row;
  }

  get idle(): boolean {
    return this.#running === undefined && this.#queue.length === 0;
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

  /** Take no more events. Resolves when the one being committed is through. */
  async drop(): Promise<void> {
    this.#dropped = true;
    this.#queue.length = 0;
    await this.#running;
  }

  #deliver(delivery: Delivery): void {
    if (this.#dropped) return;
    this.#queue.push(delivery);
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
    });
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
  }

  #forget(delivery: Delivery): void {
    const index = this.#queue.indexOf(delivery);
    if (index >= 0) this.#queue.splice(index, 1);
    if (delivery.from === 'message') this.#queued.delete(delivery.envelope.id);
  }

  async #process(delivery: Delivery): Promise<void> {
    for (let conflicts = 0; conflicts <= MAX_CONFLICTS; conflicts++) {
      const stored = this.#row ?? (await this.#host.store.load(this.id));
      if (stored === undefined || stored.done || stored.quarantined !== null) {
        return this.#refuse(stored, delivery);
      }
      const { event: received, cause } = read(delivery);
      const epoch = this.#host.epochOf(this.partition);
      // Perhaps the lease is only being renewed. If it is lost, the actor is dropped before it tries again.
      if (epoch === undefined)
        throw new TransientError('lease_ended', 'the lease of the partition has ended');
      let row: ActorRow;
      let step: Step;
      try {
        row = this.#row ?? readStored(this.#host.machineOf(this.id), stored);
        this.#row = row;
        const answered = cause.from === 'effect' && row.effects[cause.effectId]?.token === cause.token;
        if (this.#unsure && !answered) this.#host.resume(row, epoch);
        this.#unsure = false;
        if (cause.from === 'effect' && !answered) return;
        step = this.#take(row, received);
      } catch (error) {
        this.#row = undefined;
        await this.#host.quarantine(stored, error, epoch);
        return this.#fail(delivery, stored, QUARANTINED);
      }
      const { event, outcome, deadLetter } = step;
      const committed = await this.#host.store.commit({
        actor: row,
        cause,
        ...step,
        node: this.#host.node,
        epoch,
      });
      switch (committed.result) {
        case 'committed':
          this.#row = advance(row, outcome);
          if (deadLetter) this.#host.buried(this.id, received, deadLetter.error);
          if (!outcome.handled) this.#host.unhandled(row, event);
          this.#answer(delivery, {
            ...{ fromState: outcome.previousState, toState: outcome.state, handled: outcome.handled },
            error: deadLetter?.error ?? null,
          });
          return this.#host.committed(this.#row, event, outcome, committed.sent, epoch);
        case 'duplicate':
          return;
        case 'fenced':
          this.#row = undefined;
          return this.#host.fenced(this.partition);
        case 'disordered':
          return this.#reorder(delivery);
        case 'conflict':
          this.#row = undefined;
      }
    }
    throw new Error(`${this.id.kind} ${this.id.id} changed under ${MAX_CONFLICTS} commits in a row`);
  }

  /**
   * What the chart makes of an event. One that makes it throw would come again for ever: it becomes a dead letter, and
   * the chart learns of it by POISONED.
   * @throws whatever the chart throws on POISONED too
   */
  #take(row: ActorRow, event: ActorEvent): Step {
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

function read(delivery: Delivery): { event: ActorEvent; cause: Cause } {
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

function advance(row: ActorRow, outcome: Outcome): ActorRow {
  return {
    ...row,
    version: row.version + 1,
    snapshot: outcome.snapshot,
    state: outcome.state,
    effects: outcome.effects,
    done: outcome.done,
  };
}
