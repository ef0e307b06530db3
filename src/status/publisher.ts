import type { Logger } from 'pino';
import type { Db } from '../store/database.ts';
import { giveUpTurn, TURN_SIZE, takeTurn } from './outbox.ts';
import type { StatusStream } from './stream.ts';

export interface PublisherParts {
  db: Db;
  stream: StatusStream;
  log: Logger;
}

export interface PublisherOptions {
  /** Name of this process; no two live ones share one. */
  name: string;
  /** How often to look for events that nobody announced, and for those of a publisher that has gone. */
  lookMs: number;
}

/**
 * Brings status events from the outbox to the stream. Any number of processes may run one: whoever published last goes on,
 * and when its events begin to wait another takes over. What cannot be published waits in the outbox.
 */
export class StatusPublisher {
  readonly #parts: PublisherParts;
  readonly #options: PublisherOptions;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;
  #again = false;
  #failing = false;
  #closed = false;

  constructor(parts: PublisherParts, options: PublisherOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#timer = setInterval(() => this.wake(), options.lookMs);
    this.#timer.unref();
    this.wake();
  }

  /** Something was committed. */
  wake(): void {
    this.#again = true;
    this.#running ??= this.#publish().finally(() => {
      this.#running = undefined;
    });
  }

  /** Finish the turn at hand and let another process take the next. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#running;
    await giveUpTurn(this.#parts.db, this.#options.name).catch((error) => this.#failed(error));
  }

  async #publish(): Promise<void> {
    const { db, stream, log } = this.#parts;
    const turn = { publisher: this.#options.name, patienceMs: this.#options.lookMs * 2 };
    while (this.#again && !this.#closed) {
      this.#again = false;
      try {
        await stream.open(); // also without events, so that subscribers find it
        // A database that was away may have come back with events that it had forgotten.
        const published = await takeTurn(db, turn, (events, succession) =>
          stream.append(events, succession || this.#failing),
        );
        if (published === 0) continue;
        // Whatever is committed meanwhile is announced.
        this.#again ||= published === TURN_SIZE;
        if (this.#failing) log.info('status events are published again');
        this.#failing = false;
      } catch (error) {
        this.#failed(error);
        return;
      }
    }
  }

  /** Said once, not with every look of an outage. */
  #failed(error: unknown): void {
    if (!this.#failing) this.#parts.log.warn({ err: error }, 'status events wait: they cannot be published');
    this.#failing = true;
  }
}
