import type { Logger } from 'pino';
import { Node } from '../../src/actors/node.ts';
import type { ActorStore } from '../../src/actors/store.ts';
import { FailoverLimiter } from '../../src/failover/limiter.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { machinesWith } from '../../src/machines/registry.ts';
import type { SimulatedBus } from './bus.ts';
import { simulatedEffects } from './effects.ts';
import type { SimulatedFailovers } from './failover-queue.ts';
import type { Faults } from './faults.ts';
import { keepHouse } from './housekeeping.ts';
import type { Invariants } from './invariants.ts';
import { Link } from './link.ts';
import type { Random } from './random.ts';
import type { Rows } from './rows.ts';
import { SimulatedProcess } from './simulated-process.ts';
import type { SimulatedStore } from './store.ts';
import { storeThrough } from './store-calls.ts';
import type { VirtualTime } from './virtual-time.ts';
import type { World } from './world.ts';

export const LEASE_MS = 6_000;

const deadlines = {
  create: 60_000,
  update: 40_000,
  failover: 50_000,
  delete: 60_000,
  boot: 30_000,
  step: 30_000,
  portGrace: 3_000,
  syncGrace: 3_000,
};
const machines = machinesWith(deadlines);

/** Tight, so that a few load balancers meet all of them. */
export const FAILOVER_LIMITS = {
  concurrency: 1,
  windowLimit: 3,
  windowMs: 30_000,
  stopPercent: 50,
  stopMinimum: 2,
};

/** How long calls are held up at most. */
export const HELD_UP_MS = 3 * LEASE_MS;

/** How long a process that is to end may take, before it is killed. */
const PATIENCE_MS = 3_000;

/** How long it takes at most until a process that has ended is there again. */
const RESTART_MS = 4_000;

/** How far the store's clock is set at once. */
export const CLOCK_STEP_MS = 30_000;

/**
 * From the last fault on, everything comes to rest within this time: the longest, a failover of two that fails at last.
 * Deadlines are late by as much as the clock was set back.
 */
export const REST_MS = 4 * deadlines.failover + deadlines.delete + 2 * LEASE_MS + 20_000 + 3 * CLOCK_STEP_MS;

/**
 * ... and of what was stale, within this time: those that fail wait for the next window, and only one is made at once. What
 * was excluded may wait for an effect that does not hear that it is cancelled.
 */
export const RENEWED_MS = 3 * REST_MS;

/** An effect ends within this time: it is taken over, and tried until its own deadline. The charts wait longer. */
export const EFFECT_MS = PATIENCE_MS + RESTART_MS + 2 * LEASE_MS + 11_000;

/** What a node is made of that a seeded bug may replace. */
export interface NodeOrgans {
  store: ActorStore;
  effects: Effects;
}

export interface ClusterParts {
  time: VirtualTime;
  random: Random;
  faults: Faults;
  rows: Rows;
  store: SimulatedStore;
  world: World;
  failovers: SimulatedFailovers;
  bus: SimulatedBus;
  invariants: Invariants;
  log(process: SimulatedProcess): Logger;
  tell(text: string): void;
  /** Replaces organs of every node before it lives. */
  surgery(organs: NodeOrgans): NodeOrgans;
  /** Processes keep house. */
  tidy: boolean;
}

interface Member {
  process: SimulatedProcess;
  node: Node;
  limiter: FailoverLimiter;
}

/** The controllers: real nodes in simulated processes. */
export class Cluster {
  readonly #parts: ClusterParts;
  readonly #size: number;
  #members: Member[] = [];
  #started = 0;

  constructor(parts: ClusterParts, size: number) {
    this.#parts = parts;
    this.#size = size;
    for (let index = 0; index < size; index += 1) this.#start(`node-${index}`);
  }

  /** Processes in which nobody knows of the end of their node. */
  processes(): SimulatedProcess[] {
    return this.#members.map(({ process }) => process);
  }

  /** End a process at once; it comes back later, as itself or as another. */
  kill(process: SimulatedProcess): void {
    process.kill();
    this.#members = this.#members.filter((member) => member.process !== process);
    this.#replace(process);
  }

  /** End a process in order: what it has is handed over, if it can do so in time. */
  async close(process: SimulatedProcess): Promise<void> {
    const member = this.#members.find((each) => each.process === process);
    if (member === undefined) return;
    this.#members = this.#members.filter((each) => each !== member);
    await new Promise<void>((resolve) => {
      this.#parts.time.after(PATIENCE_MS, resolve);
      member.limiter.close();
      member.node.close().then(resolve, resolve);
    });
    process.kill();
    this.#replace(process);
  }

  #replace({ name }: SimulatedProcess): void {
    const { time, random } = this.#parts;
    this.#started += 1;
    const successor = random.chance(0.5) ? name : `node-${this.#size + this.#started}`;
    time.after(random.between(200, RESTART_MS), () => this.#start(successor));
  }

  #start(name: string): void {
    const { time, random, faults, store, world, failovers, rows, bus, invariants, tell } = this.#parts;
    const process = new SimulatedProcess(name, time, random);
    const storeLink = new Link(time, random, process, () => ({
      delayMs: faults.storeDelayMs,
      refuses: faults.storeRefuses,
      answerLost: faults.storeAnswerLost,
      heldUp: { chance: faults.storeHeldUp, ms: HELD_UP_MS },
    }));
    const worldLink = new Link(time, random, process, () => ({
      delayMs: faults.worldDelayMs,
      refuses: 0,
      answerLost: faults.worldAnswerLost,
      heldUp: { chance: faults.worldHeldUp, ms: HELD_UP_MS },
    }));
    const agentLink = new Link(time, random, process, () => ({
      delayMs: faults.worldDelayMs,
      refuses: 0,
      answerLost: faults.worldAnswerLost,
      heldUp: { chance: faults.agentHeldUp, ms: HELD_UP_MS },
    }));
    const watched = invariants.watch(store, world);
    const organs = this.#parts.surgery({
      store: {
        ...storeThrough(store, (call) => call()),
        commit: async (commit) => {
          const result = await watched(commit);
          for (const { actor, event, outcome } of [commit, ...commit.followers]) {
            tell(`${name} ${actor.kind} ${actor.id}: ${event.type} -> ${outcome.state} (${result.result})`);
          }
          return result;
        },
      },
      effects: simulatedEffects({
        ...{ rows, world, storeLink, worldLink, agentLink, random, faults, clock: process.clock },
        started: (effect, requestId) => {
          tell(`${name} ${requestId}: ${effect} begins`);
          invariants.effectStarted(store, requestId);
        },
      }),
    });
    const ownBus = bus.connect(process);
    const node = new Node(
      {
        store: storeThrough(organs.store, (call) => storeLink.call(call)),
        bus: ownBus,
        clock: process.clock,
        machines,
        effects: organs.effects,
        log: this.#parts.log(process),
      },
      {
        node: name,
        leaseMs: LEASE_MS,
        sweepMs: 1_000,
        cacheSize: 3,
        effectConcurrency: 4,
        providerConcurrency: 6,
      },
    );
    tell(`${name} starts`);
    const limiter = new FailoverLimiter(
      {
        queue: failovers.through(storeLink),
        clock: process.clock,
        log: this.#parts.log(process),
        newId: () => random.uuid(),
        publish: (envelopes) => ownBus.publish(envelopes),
      },
      FAILOVER_LIMITS,
      1_000,
    );
    this.#members.push({ process, node, limiter });
    if (this.#parts.tidy)
      keepHouse({
        ...{ clock: process.clock, store, world, storeLink, worldLink },
        removed: (names) => {
          if (names.length > 0) tell(`${name} removes orphans: ${names}`);
          invariants.orphansRemoved(names);
        },
      });
    // A process that cannot start ends, and is started again.
    node.start().catch(() => this.kill(process));
  }
}
