import type { Logger } from 'pino';
import type { AnyStateMachine } from 'xstate';
import { type ActorKind, PARTITIONS } from '../machines/address.ts';
import type { Effects } from '../machines/effects.ts';
import { Actor, type ActorHost } from './actor.ts';
import type { Bus, Envelope, Reply } from './bus.ts';
import type { Clock } from './clock.ts';
import type { Control, NodeLoad } from './control.ts';
import { EffectRunner } from './effect-runner.ts';
import type { ActorEvent } from './interpreter.ts';
import { Leases } from './leases.ts';
import type { ActorId, ActorRow, ActorStore } from './store.ts';
import { readStored } from './stored-snapshot.ts';
import { Timers } from './timers.ts';
import { ofActor, type Tracer, transitionTrace } from './trace.ts';
import { advance, newborn, type Part } from './turn.ts';

export interface NodeOptions {
  /** Name of this node in leases; no two live nodes share one. */
  node: string;
  leaseMs: number;
  sweepMs: number;
  cacheSize: number;
  /** Effects at once on this node. */
  effectConcurrency: number;
  /** Effects at once that call a provider, on all nodes together. */
  providerConcurrency: number;
}

export interface NodeParts {
  store: ActorStore;
  bus: Bus;
  clock: Clock;
  machines: Record<ActorKind, AnyStateMachine>;
  effects: Effects;
  /** How it is reached by operators and other nodes; absent: not at all. */
  control?: Control | undefined;
  /** Tells whoever watches; absent: nobody does. */
  tracer?: Tracer | undefined;
  log: Logger;
}

/** How many waiting messages one sweep takes. */
const SWEEP_LIMIT = 500;

/**
 * A process that hosts actors: it holds partitions by lease, receives their messages from the bus, finds by a periodic
 * sweep what the bus lost, and runs what the charts ask for. `start` it, `close` it; killing it is also fine.
 */
export class Node implements ActorHost {
  readonly node: string;
  readonly store: ActorStore;
  readonly #parts: NodeParts;
  readonly #options: NodeOptions;
  readonly #leases: Leases;
  readonly #effects: EffectRunner;
  readonly #timers: Timers;
  /** In the order of their last use. */
  readonly #actors = new Map<string, Actor>();
  readonly #subscriptions = new Map<number, () => void>();
  #cancelSweep = () => {};
  #sweeping: Promise<void> | undefined;
  #closed = false;

  constructor(parts: NodeParts, options: NodeOptions) {
    this.node = options.node;
    this.store = parts.store;
    this.#parts = parts;
    this.#options = options;
    this.#effects = new EffectRunner(parts.effects, parts.clock, {
      node: options.effectConcurrency,
      provider: 1,
    });
    this.#timers = new Timers(parts.clock, (timer) => this.#actor(timer, timer.partition)?.timerFired(timer));
    this.#leases = new Leases(
      parts.store,
      { node: options.node, leaseMs: options.leaseMs, clock: parts.clock, log: parts.log },
      {
        gained: (partition, epoch) => this.#gained(partition, epoch),
        lost: (partition) => this.#lost(partition),
        handedOver: () => parts.control?.leasesChanged(),
      },
    );
  }

  /** Resolves when the first partitions are held and their messages are being processed. */
  async start(): Promise<void> {
    this.#parts.tracer?.answer((actor, partition) =>
      this.#subscriptions.has(partition) ? this.#effects.progress(actor) : undefined,
    );
    await this.#leases.start();
    this.#parts.control?.attend({
      load: () => this.#load(),
      lookAtLeases: () => void this.#leases.refresh(),
    });
    await this.sweep();
    this.#scheduleSweep();
    this.#parts.log.info({ partitions: this.#leases.partitions().length }, 'node started');
  }

  /** Hand everything over: effects are stopped, leases given back, nothing is lost. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelSweep();
    await this.#sweeping;
    await this.#leases.close();
    this.#timers.clear();
  }

  machineOf({ kind }: ActorId): AnyStateMachine {
    return this.#parts.machines[kind];
  }

  epochOf(partition: number): number | undefined {
    return this.#leases.epochOf(partition);
  }

  resume(actor: ActorRow, epoch: number): void {
    for (const effectId of Object.keys(actor.effects)) this.#startEffect(actor, effectId, epoch);
  }

  atHand({ kind, id }: ActorId): Actor | undefined {
    return this.#actors.get(`${kind}/${id}`);
  }

  actorOf(row: ActorRow): Actor | undefined {
    return this.#actor(row, row.partition);
  }

  committed(parts: Part[], sent: Envelope[], epoch: number): void {
    this.#parts.bus.publish(sent);
    for (const part of parts) this.#carryOut(part, epoch);
  }

  #carryOut({ after: actor, outcome, steps }: Part, epoch: number): void {
    for (const step of steps) {
      this.#parts.tracer?.publish(transitionTrace(advance(step), step.event, step.outcome));
    }
    for (const id of outcome.stoppedEffects) this.#effects.stop(actor, id);
    for (const id of outcome.startedEffects) this.#startEffect(actor, id, epoch);
    for (const name of outcome.disarmedTimers) this.#timers.cancel(actor, name);
    for (const { name, event, delayMs } of outcome.armedTimers) {
      if (delayMs > this.#horizonMs) continue;
      const { kind, id, partition, version } = actor;
      this.#timers.schedule({ kind, id, partition, name, event, armedVersion: version, dueInMs: delayMs });
    }
    this.#parts.log.debug(
      {
        ...idsOf(actor),
        from: outcome.previousState,
        to: outcome.state,
        version: actor.version,
      },
      'transition',
    );
  }

  reply(address: string, reply: Reply): void {
    this.#parts.bus.reply(address, reply);
  }

  fenced(partition: number): void {
    this.#parts.log.warn({ partition }, 'a commit was refused: the partition has another owner');
    void this.#leases.refresh();
  }

  buried(actor: ActorId, event: ActorEvent, error: unknown): void {
    this.#parts.log.error(
      { ...idsOf(actor), event: event.type, err: error },
      'event set aside as a dead letter',
    );
  }

  async quarantine(actor: ActorRow, error: unknown, epoch: number): Promise<void> {
    const reason = error instanceof Error ? error.message : String(error);
    await this.store.quarantine(actor, reason, this.node, epoch);
    this.#parts.tracer?.publish({ type: 'quarantine', ...ofActor(actor), reason });
    await this.#effects.stopActor({ kind: actor.kind, id: actor.id });
    this.#parts.log.error(
      { ...idsOf(actor), reason },
      'actor quarantined; `amphorae actors resume` after the cause is gone',
    );
  }

  postponed(actor: ActorId, error: unknown, again: () => void): void {
    this.#parts.log.warn({ ...idsOf(actor), err: error }, 'event postponed: the store could not be reached');
    this.#parts.clock.after(this.#options.sweepMs, again);
  }

  unhandled(actor: ActorRow, event: ActorEvent): void {
    const line = { ...idsOf(actor), state: actor.state, event: event.type };
    if (this.machineOf(actor).events.includes(event.type)) {
      this.#parts.log.debug(line, 'event ignored in this state');
    } else {
      this.#parts.log.warn(line, 'event ignored: its chart does not know it in any state');
    }
  }

  /** Take what waits in the store and the timers that come due soon. Called by itself; useful when the bus was down. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepOnce()
      .catch((error) => this.#parts.log.warn({ err: error }, 'sweep failed; trying again'))
      .finally(() => {
        this.#sweeping = undefined;
      });
    return this.#sweeping;
  }

  get #horizonMs(): number {
    return this.#options.sweepMs * 3;
  }

  async #sweepOnce(): Promise<void> {
    const partitions = this.#leases.partitions();
    if (partitions.length === 0) return;
    const [messages, timers] = await Promise.all([
      this.store.waiting(partitions, SWEEP_LIMIT),
      this.store.timers(partitions, this.#horizonMs),
    ]);
    for (const message of messages) this.#receive(message);
    for (const timer of timers) this.#timers.schedule(timer);
    this.#passivate();
  }

  #load(): NodeLoad {
    const { size: partitions } = this.#subscriptions;
    return { partitions, actors: this.#actors.size, effects: this.#effects.running };
  }

  #scheduleSweep(): void {
    if (this.#closed) return;
    this.#cancelSweep = this.#parts.clock.after(this.#options.sweepMs, () => {
      this.sweep().finally(() => this.#scheduleSweep());
    });
  }

  #receive(envelope: Envelope): void {
    const { kind, actorId: id, partition, born } = envelope;
    const row = born && newborn({ address: { kind, id }, input: born }, partition);
    this.#actor({ kind, id }, partition, row)?.receive(envelope);
  }

  /** The actor in memory, made when needed; undefined when its partition is not ours. */
  #actor(id: ActorId, partition: number, row?: ActorRow): Actor | undefined {
    const key = `${id.kind}/${id.id}`;
    let actor = this.#actors.get(key);
    if (actor === undefined) {
      if (!this.#subscriptions.has(partition)) return undefined;
      actor = new Actor({ kind: id.kind, id: id.id }, partition, this, row);
    }
    this.#actors.delete(key);
    this.#actors.set(key, actor);
    return actor;
  }

  #startEffect(actor: ActorRow, effectId: string, epoch: number): void {
    const running = actor.effects[effectId];
    if (running === undefined) return;
    const { kind, id, partition } = actor;
    this.#effects.start(
      { kind, id, partition },
      effectId,
      running,
      epoch,
      (result) => this.#actor(actor, partition)?.effectEnded(effectId, running.token, result),
      (attempt, error) =>
        this.#parts.tracer?.publish({
          type: 'attempt',
          ...ofActor(actor),
          effect: effectId,
          attempt,
          error,
        }),
    );
  }

  /**
   * A node's part of the cloud-wide limit is that of its partitions: no two nodes hold one at the same time, so together they
   * keep the limit without asking each other. With more nodes than the limit, each may still make one call at a time.
   */
  #shareProviderCalls(): void {
    const share = (this.#options.providerConcurrency * this.#subscriptions.size) / PARTITIONS;
    this.#effects.limitProviderCalls(Math.max(1, Math.floor(share)));
  }

  #gained(partition: number, epoch: number): void {
    this.#subscriptions.set(
      partition,
      this.#parts.bus.subscribe(partition, (envelope) => this.#receive(envelope)),
    );
    this.#shareProviderCalls();
    this.#parts.tracer?.publish({ type: 'gap' });
    this.#resume(partition, epoch).catch((error) => {
      if (this.#leases.epochOf(partition) !== epoch) return;
      // Without its effects a partition is stuck: give the lease back, and try again with the next one.
      this.#parts.log.error({ partition, err: error }, 'partition could not be resumed');
      void this.#leases.giveUp(partition);
    });
  }

  /** Run again what the previous owner had started and not finished. */
  async #resume(partition: number, epoch: number): Promise<void> {
    for (const stored of await this.store.busy(partition)) {
      // It may have been lost, or closed, while the store was asked.
      if (this.#leases.epochOf(partition) !== epoch) return;
      let row: ActorRow;
      try {
        row = readStored(this.machineOf(stored), stored);
      } catch (error) {
        await this.quarantine(stored, error, epoch);
        continue;
      }
      this.#actor(row, partition, row);
      this.resume(row, epoch);
    }
    await this.sweep();
  }

  async #lost(partition: number): Promise<void> {
    this.#subscriptions.get(partition)?.();
    this.#subscriptions.delete(partition);
    this.#shareProviderCalls();
    const mine = [...this.#actors].filter(([, actor]) => actor.partition === partition);
    for (const [key] of mine) this.#actors.delete(key);
    // Also those of actors that have been passivated meanwhile.
    await Promise.all([this.#effects.stopPartition(partition), ...mine.map(([, actor]) => actor.drop())]);
  }

  /** Forget the actors that were idle longest, beyond the size of the cache. */
  #passivate(): void {
    for (const [key, actor] of this.#actors) {
      if (this.#actors.size <= this.#options.cacheSize) return;
      if (actor.idle) this.#actors.delete(key);
    }
  }
}

/** Whom a line is about. */
function idsOf(actor: ActorId | ActorRow) {
  const { kind: actor_kind, id: actor_id } = actor;
  const { loadBalancerId: loadbalancer_id } = ('input' in actor ? actor.input : {}) as {
    loadBalancerId?: string;
  };
  return { actor_kind, actor_id, loadbalancer_id };
}
