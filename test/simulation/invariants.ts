import type { ActorStore, Cause, Commit, CommitResult, Step } from '../../src/actors/store.ts';
import type { RowChange } from '../../src/machines/row-change.ts';
import { FAILOVER_LIMITS } from './cluster.ts';
import { isPending, type Rows } from './rows.ts';
import type { SimulatedStore, StoredActor } from './store.ts';
import type { World, WorldObserver } from './world.ts';

/** What the API has promised about a child of a load balancer by accepting a call. */
interface Promised {
  loadBalancerId: string;
  outcome: 'present' | 'removed';
}

interface History {
  version: number;
  epoch: number;
  lastSeq: number;
}

/** Watches a simulation and notes whatever must not happen. */
export class Invariants implements WorldObserver {
  readonly violations: string[] = [];
  readonly #rows: Rows;
  readonly #now: () => number;
  readonly #histories = new Map<string, History>();
  /** By child: the last call that was accepted for it. */
  readonly #promises = new Map<string, Promised>();
  readonly #consumed = new Set<string>();
  #lateCalls = false;
  readonly #agentEpochs = new WeakMap<object, number>();
  /** Load balancers that fail over because of the limiter. */
  readonly #automatic = new Set<string>();

  constructor(rows: Rows, now: () => number) {
    this.#rows = rows;
    this.#now = now;
  }

  violated(text: string): void {
    this.violations.push(`at ${this.#now().toFixed(0)} ms: ${text}`);
  }

  /** A call was accepted. */
  promise(childId: string, loadBalancerId: string, outcome: Promised['outcome']): void {
    this.#promises.set(childId, { loadBalancerId, outcome });
  }

  /** The store as the nodes see it, with an eye on every commit that is applied. */
  watch(store: SimulatedStore, world: World): ActorStore['commit'] {
    return async (commit: Commit): Promise<CommitResult> => {
      const lease = { ...store.lease(commit.actor.partition) };
      const waiting = [...store.messages()];
      const result = await store.commit(commit);
      if (result.result !== 'committed') return result;
      this.#applied(commit, commit, lease, world);
      for (const step of commit.followers) {
        const { cause } = commit;
        const early = waiting.find(
          ({ id, kind, actorId }) =>
            kind === step.actor.kind &&
            actorId === step.actor.id &&
            !(cause.from === 'message' && cause.messageId === id),
        );
        if (early)
          this.violated(`${step.actor.kind} ${step.actor.id} took ${step.event.type} before ${early.seq}`);
        this.#applied(step, { ...commit, cause: undefined }, lease, world);
      }
      return result;
    };
  }

  obeyed(agent: object, amphoraId: string, epoch: number): void {
    const highest = this.#agentEpochs.get(agent) ?? 0;
    if (epoch < highest) this.violated(`agent ${amphoraId} obeyed epoch ${epoch} after ${highest}`);
    this.#agentEpochs.set(agent, Math.max(epoch, highest));
  }

  /** An effect names the commit that started it: `kind/id/version`. */
  effectStarted(store: SimulatedStore, requestId: string): void {
    const [kind, id, version] = requestId.split('/');
    const actor = store.actors().find((each) => each.kind === kind && each.id === id);
    if (actor === undefined || actor.version < Number(version)) {
      this.violated(`effect ${requestId} runs before its commit`);
    }
  }

  /** Something may have been done late: a process was stopped in the middle of it, or its cancellation was not heard. */
  lateCalls(): void {
    this.#lateCalls = true;
  }

  /** Housekeeping found what nobody had released. */
  orphansRemoved(names: string[]): void {
    if (names.length > 0 && !this.#lateCalls) this.violated(`leaked, and found by housekeeping: ${names}`);
  }

  /** Nothing goes wrong any more and everything has come to rest. */
  atRest(store: SimulatedStore, world: World): void {
    for (const { actor, event, error } of store.deadLetters()) {
      if (error !== 'the actor has ended') {
        this.violated(`${event.type} for ${actor.kind} ${actor.id} was set aside: ${error}`);
      }
    }
    for (const { kind, id, quarantined } of store.actors()) {
      if (quarantined !== null) this.violated(`${kind} ${id} is quarantined: ${quarantined}`);
    }
    for (const { kind, id, name } of store.armedTimers()) {
      if (store.actors().some((actor) => actor.kind === kind && actor.id === id && actor.done)) {
        this.violated(`timer ${name} of ${kind} ${id}, which has ended`);
      }
    }
    this.#promisesKept();
    for (const { id, status } of this.#rows.loadBalancers.values()) {
      if (status === 'ACTIVE') this.#inForce(id, world);
      if (status === 'ERROR' || status === 'DELETED') this.#nothingLeaked(id, store, world);
    }
  }

  #applied(
    { actor, event, outcome }: Step,
    { epoch, node, cause }: { epoch: number; node: string; cause: Cause | undefined },
    lease: object,
    world: World,
  ): void {
    const name = `${actor.kind} ${actor.id}`;
    const history = this.#histories.get(name) ?? { version: 0, epoch: 0, lastSeq: 0 };
    const { owner, epoch: leased } = lease as { owner?: string; epoch?: number };
    if (owner !== node || leased !== epoch) {
      this.violated(
        `${node} wrote ${name} under epoch ${epoch}; the partition is ${owner}'s under ${leased}`,
      );
    }
    if (actor.version !== history.version) {
      this.violated(`${name} was written at version ${actor.version} after ${history.version}`);
    }
    if (epoch < history.epoch) this.violated(`${name} was written by epoch ${epoch} after ${history.epoch}`);
    if (cause?.from === 'message') {
      if (this.#consumed.has(cause.messageId)) this.violated(`${name} took message ${cause.messageId} twice`);
      if (cause.seq < history.lastSeq) {
        this.violated(`${name} took message ${cause.seq} after ${history.lastSeq}`);
      }
      this.#consumed.add(cause.messageId);
      history.lastSeq = cause.seq;
    }
    this.#histories.set(name, { ...history, version: actor.version + 1, epoch });
    for (const change of outcome.rowChanges) this.#settled(change, world);
    if (!outcome.state.startsWith('failingOver')) this.#automatic.delete(actor.id);
    else if (event.type === 'FAILOVER' && event.automatic) this.#automatic.add(actor.id);
    if (this.#automatic.size > FAILOVER_LIMITS.concurrency) {
      this.violated(`${this.#automatic.size} automatic failovers at once`);
    }
    // Who is told that a removal failed still has the child.
    for (const [id, promised] of this.#promises) {
      if (this.#rows.children.get(id)?.status === 'ERROR') promised.outcome = 'present';
    }
  }

  /** What is called settled must be in force in every amphora at that moment, but for one that shows ERROR. */
  #settled(change: RowChange, world: World): void {
    if (change.op !== 'settle') return;
    const counted = this.#rows.amphoraeOf(change.loadBalancerId).filter(({ status }) => status !== 'ERROR');
    if (counted.length === 0) this.violated(`revision ${change.revision} settled, but in no amphora`);
    for (const { id } of counted) {
      const agent = world.servers.get(id)?.agent;
      for (const part of ['config', 'firewall'] as const) {
        const revision = agent?.[part]?.revision ?? 0;
        if (revision < change.revision) {
          this.violated(
            `revision ${change.revision} settled, but the ${part} of amphora ${id} is at ${revision}`,
          );
        }
      }
    }
  }

  #promisesKept(): void {
    const { loadBalancers, children } = this.#rows;
    for (const row of [...loadBalancers.values(), ...children.values()]) {
      if (row.status === 'ERROR' && !row.error) this.violated(`${row.id} is in ERROR without a reason`);
    }
    for (const [id, { loadBalancerId, outcome }] of this.#promises) {
      const child = children.get(id);
      // Children go with their load balancer.
      if (loadBalancers.get(loadBalancerId)?.status === 'DELETED') continue;
      if (outcome === 'present' && child === undefined) this.violated(`child ${id} was lost`);
      if (outcome === 'removed' && child) {
        this.violated(`child ${id} is ${child.status}, although it was to be removed`);
      }
    }
  }

  #inForce(loadBalancerId: string, world: World): void {
    const loadBalancer = this.#rows.loadBalancers.get(loadBalancerId);
    const active = this.#rows.childrenOf(loadBalancerId).filter(({ status }) => status === 'ACTIVE');
    const expected = [
      `${loadBalancerId}@${loadBalancer?.ownRevision}`,
      ...active.map(({ id, revision }) => `${id}@${revision}`),
    ];
    const amphorae = this.#rows.amphoraeOf(loadBalancerId);
    if (amphorae.length !== (loadBalancer?.topology === 'SINGLE' ? 1 : 2)) {
      this.violated(`load balancer ${loadBalancerId} is ACTIVE with ${amphorae.length} amphorae`);
    }
    for (const { id } of amphorae) {
      for (const part of ['config', 'firewall'] as const) {
        const rows = world.servers.get(id)?.agent[part]?.rows ?? [];
        const missing = expected.filter((row) => !rows.includes(row));
        const removed = rows
          .map((row) => row.split('@')[0] as string)
          .filter((row) => row !== loadBalancerId && !this.#rows.children.has(row));
        if (missing.length > 0) this.violated(`ACTIVE, but not in the ${part} of amphora ${id}: ${missing}`);
        if (removed.length > 0) this.violated(`removed, but in the ${part} of amphora ${id}: ${removed}`);
      }
    }
  }

  /** What has no amphora row any more must have nothing in the world, either. */
  #nothingLeaked(loadBalancerId: string, store: SimulatedStore, world: World): void {
    const gone = store
      .actors()
      .filter(({ kind, input }) => kind === 'amphora' && belongsTo(input, loadBalancerId))
      .map(({ id }) => id)
      .filter((id) => !this.#rows.amphorae.has(id));
    const deleted = this.#rows.loadBalancers.get(loadBalancerId)?.status === 'DELETED';
    const remains = world.remainsOf(deleted ? [loadBalancerId, ...gone] : gone);
    if (remains.length > 0) this.violated(`leaked by ${loadBalancerId}: ${remains}`);
  }

  /** Each of these had an effect to run, and time enough for it. */
  moved(store: SimulatedStore, earlier: Readonly<StoredActor>[]): void {
    for (const { kind, id, version, state } of earlier) {
      if (store.actor({ kind, id })?.version === version) {
        this.violated(`nobody runs the effect that ${kind} ${id} waits for in ${state}`);
      }
    }
  }

  /** Faults have stopped for long enough. */
  stuck(store: SimulatedStore): void {
    const { loadBalancers, children } = this.#rows;
    const pending = [...loadBalancers.values(), ...children.values()].filter(({ status }) =>
      isPending(status),
    );
    const unread = store.messages().map(({ event, actorId }) => `${event.type} for ${actorId}`);
    const busy = store.actors().filter(({ effects }) => Object.keys(effects).length > 0);
    this.violated(
      [
        'no rest although nothing goes wrong any more:',
        ...pending.map(({ id, status }) => `${id} ${status}`),
        ...unread,
        ...this.#rows.stale().map(({ id }) => `amphora ${id} is stale`),
        ...this.#rows.excluded().map(({ id }) => `amphora ${id} is excluded`),
        ...busy.map(({ kind, id, state }) => `${kind} ${id} is busy in ${state}`),
      ].join('\n    '),
    );
  }
}

function belongsTo(input: object, loadBalancerId: string): boolean {
  return 'loadBalancerId' in input && input.loadBalancerId === loadBalancerId;
}
