import type { LimiterState } from '../../src/failover/judgement.ts';
import type { FailoverQueue, Round } from '../../src/failover/limiter.ts';
import { serves } from '../../src/model/status.ts';
import type { Link } from './link.ts';
import type { Rows } from './rows.ts';
import type { SimulatedStore } from './store.ts';

/** Automatic failovers as `src/failover/postgres-queue.ts` has them, in memory. A round takes no time: nothing comes between. */
export class SimulatedFailovers {
  state: LimiterState = 'admitting';
  byOperator = false;
  readonly #rows: Rows;
  readonly #store: SimulatedStore;
  readonly #now: () => number;
  /** A test takes that away to see whether it is noticed. */
  readonly #counting: boolean;

  constructor(rows: Rows, store: SimulatedStore, options: { now: () => number; counting: boolean }) {
    this.#rows = rows;
    this.#store = store;
    this.#now = options.now;
    this.#counting = options.counting;
  }

  /** The queue as one process sees it. */
  through(link: Link): FailoverQueue {
    return { round: (work) => link.call(() => work(this.#round())) };
  }

  /** What an operator does who has seen that it has stopped. */
  resume(): void {
    Object.assign(this, { state: 'overridden', byOperator: true });
  }

  #round(): Round {
    const { loadBalancers, amphorae, automaticFailovers } = this.#rows;
    const within = (admittedAt: number, windowMs: number) => admittedAt > this.#now() - windowMs;
    return {
      census: async (windowMs) => ({
        ...{ state: this.state, byOperator: this.byOperator },
        running: this.#counting ? automaticFailovers.filter(({ endedAt }) => endedAt === null).length : 0,
        amphorae: [...amphorae.values()].filter(({ status }) => serves(status) || status === 'ERROR').length,
        stale: this.#rows.stale().length,
        recent: automaticFailovers.filter(({ admittedAt }) => within(admittedAt, windowMs)).length,
      }),
      turn: async (state) => {
        Object.assign(this, { state, byOperator: false });
      },
      holdBack: async () =>
        this.#rows
          .stale()
          .filter(({ status }) => status === 'ALLOCATED')
          .filter(
            ({ loadBalancerId }) => !this.#store.messages().some(({ actorId }) => actorId === loadBalancerId),
          )
          .map(({ id: amphoraId, loadBalancerId }) => {
            const event = { type: 'AMPHORA_FAILOVER_STOPPED', amphoraId };
            return this.#store.send({ kind: 'load-balancer', id: loadBalancerId, loadBalancerId }, event);
          }),
      waiting: async (limit, windowMs) => {
        const ids = new Set(this.#rows.stale().map(({ loadBalancerId }) => loadBalancerId));
        return [...ids]
          .flatMap((id) => loadBalancers.get(id) ?? [])
          .filter(({ id, status }) => {
            const mine = automaticFailovers.filter(({ loadBalancerId }) => loadBalancerId === id);
            const recent = mine.some(
              ({ admittedAt, endedAt }) => endedAt === null || within(admittedAt, windowMs),
            );
            return !recent && (status === 'ACTIVE' || status === 'ERROR');
          })
          .slice(0, limit)
          .map(({ id, topology, status }) => ({
            ...{ loadBalancerId: id, topology, status: status as 'ACTIVE' | 'ERROR' },
            amphorae: this.#rows
              .amphoraeOf(id)
              .map(({ id, role, staleSince }) => ({ id, role, stale: staleSince !== null })),
          }));
      },
      begin: async (loadBalancerId, replacements) => {
        Object.assign(loadBalancers.get(loadBalancerId) ?? {}, { status: 'PENDING_UPDATE' });
        automaticFailovers.push({ loadBalancerId, admittedAt: this.#now(), endedAt: null });
        const address = { kind: 'load-balancer', id: loadBalancerId, loadBalancerId } as const;
        const event = { type: 'FAILOVER', replacements, automatic: true };
        return this.#store.send(address, event);
      },
    };
  }
}
