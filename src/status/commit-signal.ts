import type { NatsConnection } from 'nats';

const SUBJECT = 'amphorae.control.committed';

/** Commits within this time are announced together. */
const GATHER_MS = 50;

/**
 * Tells the publisher of status events, in whatever process it is, that something was committed. Through the broker and
 * not with NOTIFY, under which PostgreSQL commits one transaction after the other. One that is lost costs time only.
 */
export class CommitSignal {
  readonly #nats: NatsConnection;
  #gathering = false;

  constructor(nats: NatsConnection) {
    this.#nats = nats;
  }

  raise(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    setTimeout(() => {
      this.#gathering = false;
      if (!this.#nats.isClosed()) this.#nats.publish(SUBJECT);
    }, GATHER_MS).unref();
  }

  /** Call `heard` for each signal of any process. */
  listen(heard: () => void): void {
    this.#nats.subscribe(SUBJECT, { callback: (error) => error ?? heard() });
  }
}
