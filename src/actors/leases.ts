import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import type { ActorStore } from './store.ts';

export interface LeaseListener {
  /** The partition is ours from now on, under this epoch. */
  gained(partition: number, epoch: number): void;
  /** The partition is no longer ours: nothing may be written for it. Resolves when what ran for it has stopped. */
  lost(partition: number): Promise<void>;
  /** Leases were given back before their end, so that other nodes can take them at once. */
  handedOver(): void;
}

interface Held {
  epoch: number;
}

/**
 * Keeps this node's share of the partitions. Leases are renewed at a third of their life, and earlier where one of
 * a node that renews no more ends before: that is taken over at once. When the database cannot be reached, all are dropped
 * before they end there, so that no other node can own one at the same time.
 */
export class Leases {
  readonly #store: ActorStore;
  readonly #node: string;
  readonly #leaseMs: number;
  readonly #clock: Clock;
  readonly #listener: LeaseListener;
  readonly #log: Logger;
  readonly #held = new Map<number, Held>();
  /** Ours in the store still, while what ran for them is being stopped. */
  readonly #leaving = new Set<number>();
  #validUntil = 0;
  /** Until it is time to renew. */
  #pauseMs = 0;
  #inherit = true;
  #closed = false;
  #cancelTimer = () => {};
  #cancelExpiry = () => {};
  #renewing: Promise<void> = Promise.resolve();
  /** A renewal that has not begun. */
  #nextRenewal: Promise<void> | undefined;

  constructor(
    store: ActorStore,
    options: { node: string; leaseMs: number; clock: Clock; log: Logger },
    listener: LeaseListener,
  ) {
    this.#store = store;
    this.#node = options.node;
    this.#leaseMs = options.leaseMs;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#listener = listener;
  }

  /** Epoch under which this node may write for a partition now; undefined when it may not. */
  epochOf(partition: number): number | undefined {
    return this.#clock.now() < this.#validUntil ? this.#held.get(partition)?.epoch : undefined;
  }

  partitions(): number[] {
    return this.#clock.now() < this.#validUntil ? [...this.#held.keys()] : [];
  }

  /** Take the first leases; resolves when they are held. */
  async start(): Promise<void> {
    await this.#renewOnce();
    this.#schedule();
  }

  /** Renew out of turn, because a commit was refused or somebody says that the leases may have changed. */
  refresh(): Promise<void> {
    // However often that is said: one that has not begun sees all of it.
    if (this.#nextRenewal === undefined) {
      this.#nextRenewal = this.#renewing.then(() => {
        this.#nextRenewal = undefined;
        return this.#renewOnce().catch((error) => this.#failed(error));
      });
      this.#renewing = this.#nextRenewal;
    }
    return this.#nextRenewal;
  }

  /** Let go of a partition that could not be taken up. With a renewal, here or elsewhere, it is gained anew. */
  giveUp(partition: number): Promise<void> {
    return this.#giveBack([partition]);
  }

  /** Stop what runs and give every lease back. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    this.#cancelExpiry();
    await this.#renewing;
    const partitions = [...this.#held.keys()];
    await this.#stop(partitions);
    await this.#store.releaseLeases(this.#node, [...partitions, ...this.#leaving]);
    await this.#store.removeNode(this.#node);
    this.#listener.handedOver();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#cancelTimer = this.#clock.after(this.#pauseMs, () => {
      this.refresh().finally(() => this.#schedule());
    });
  }

  async #renewOnce(): Promise<void> {
    if (this.#closed) return;
    // The lease is counted from before the request, and ends here a tenth earlier than in the database.
    const asked = this.#clock.now();
    this.#pauseMs = this.#leaseMs / 3;
    const { leases, share, freeInMs } = await this.#store.renewLeases(
      this.#node,
      this.#leaseMs,
      this.#inherit,
    );
    this.#inherit = false;
    this.#pauseMs = Math.min(this.#pauseMs, freeInMs + 1);
    this.#validUntil = asked + this.#leaseMs * 0.9;
    this.#cancelExpiry();
    this.#cancelExpiry = this.#clock.after(this.#validUntil - this.#clock.now(), () => this.#expire());

    const now = new Map(leases.map(({ partition, epoch }) => [partition, epoch]));
    const gone = [...this.#held].filter(([partition, { epoch }]) => now.get(partition) !== epoch);
    void this.#drop(gone.map(([partition]) => partition));
    for (const { partition, epoch } of leases) {
      if (this.#held.has(partition) || this.#leaving.has(partition)) continue;
      this.#held.set(partition, { epoch });
      this.#listener.gained(partition, epoch);
    }
    const surplus = [...this.#held.keys()].slice(share);
    if (surplus.length === 0) return;
    const reason = share === 0 ? 'this node is drained' : 'to balance the nodes';
    this.#log.info({ partitions: surplus.length, reason }, 'partitions are handed over');
    // Not waited for: an effect that does not end must not keep the other leases from being renewed.
    void this.#giveBack(surplus).then(() => this.#listener.handedOver());
  }

  /** Stop what runs and then give the leases back, so that another node finds nothing of ours at work. */
  async #giveBack(partitions: number[]): Promise<void> {
    for (const partition of partitions) this.#leaving.add(partition);
    await this.#stop(partitions);
    this.#renewing = this.#renewing.then(async () => {
      // If that fails, the next renewal finds the leases still ours, and they are gained once more.
      await this.#store.releaseLeases(this.#node, partitions).catch((error) => this.#failed(error));
      for (const partition of partitions) this.#leaving.delete(partition);
    });
    await this.#renewing;
  }

  /** What has not ended after the time of a lease is left to the fencing, as what a dead node left is. */
  #stop(partitions: number[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(this.#leaseMs, resolve);
      this.#drop(partitions).then(resolve, reject).finally(cancel);
    });
  }

  async #drop(partitions: number[]): Promise<void> {
    for (const partition of partitions) this.#held.delete(partition);
    await Promise.all(partitions.map((partition) => this.#listener.lost(partition)));
  }

  #failed(error: unknown): void {
    this.#log.warn({ err: error }, 'leases could not be renewed; trying again');
  }

  #expire(): void {
    if (this.#held.size === 0) return;
    this.#log.error('leases ended before they could be renewed: all partitions are dropped');
    void this.#drop([...this.#held.keys()]);
  }
}
