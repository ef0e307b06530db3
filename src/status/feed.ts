import { setTimeout as pause } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { TransientError } from '../model/errors.ts';
import { type EventFilter, matches } from './event.ts';
import { EventsGone, type StoredEvent, StreamReader } from './stream-reader.ts';
import { Subscriber } from './subscriber.ts';

/** What a subscriber gets. Each position says that all up to there has been given, or was not for this subscriber. */
export type FeedItem =
  /** Comes first. */
  | { kind: 'ready'; position: number }
  | { kind: 'status'; position: number; event: StoredEvent['event'] }
  /** Nothing has happened for a while. */
  | { kind: 'alive'; position: number }
  /** NATS is away: what happens meanwhile comes later. */
  | { kind: 'outage' }
  | { kind: 'resumed' }
  /** Comes last: events were lost to this subscriber. */
  | { kind: 'gone' };

/** How long to wait before the stream is tried again. */
const RETRY_MS = 500;

/**
 * Gives status events to any number of subscribers, each of which begins where it likes. One reader of the stream serves all
 * of a process. A subscriber that begins earlier, or does not keep up, reads on its own until it meets the others:
 * everything is on the stream, so that nobody has to be held back, cut off, or remembered.
 */
export class StatusFeed {
  readonly #reader: StreamReader;
  readonly #nats: NatsConnection;
  readonly #log: Logger;
  readonly #quietMs: number;
  readonly #subscribers = new Set<Subscriber>();
  readonly #ending = new AbortController();
  #running: Promise<void> | undefined;
  /** Ends what is being read at the moment. */
  #attempt = new AbortController();
  #position = 0;
  #created = '';
  #up = true;

  /** @param quietMs how long nothing is said where nothing happens */
  constructor(nats: NatsConnection, log: Logger, quietMs = 15_000) {
    this.#nats = nats;
    this.#reader = new StreamReader(nats);
    this.#log = log;
    this.#quietMs = quietMs;
    void this.#watchConnection();
  }

  /**
   * Follow the events that match.
   * @param after a position; undefined: from now on
   * @param signal ends it
   * @throws EventsGone when the stream does not have all after this position; TransientError `no_status_stream`
   */
  async follow(
    filter: EventFilter,
    after: number | undefined,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<FeedItem>> {
    this.#running ??= this.#start().catch((error) => {
      this.#running = undefined;
      throw error;
    });
    const running = this.#running;
    await running;
    const { first, last } = await this.#reader.bounds();
    if (after !== undefined && (after + 1 < first || after > last)) throw new EventsGone();
    if (this.#running !== running) throw new TransientError('no_status_stream', 'the stream was made again');
    const subscriber = new Subscriber(filter, after ?? this.#position, this.#position);
    if (!signal.aborted) this.#subscribers.add(subscriber);
    signal.addEventListener('abort', () => {
      this.#subscribers.delete(subscriber);
      subscriber.alarm.ring();
    });
    return this.#serve(subscriber, signal);
  }

  /** Every subscriber's signal has to be aborted besides. */
  close(): void {
    this.#ending.abort();
    this.#attempt.abort();
  }

  async *#serve(subscriber: Subscriber, signal: AbortSignal): AsyncGenerator<FeedItem> {
    let flowing = true;
    yield { kind: 'ready', position: subscriber.position };
    while (!signal.aborted) {
      const failing = yield* this.#catchUp(subscriber, signal);
      if (subscriber.gone) return yield { kind: 'gone' };
      if (flowing !== (this.#up && !failing)) {
        flowing = !flowing;
        yield { kind: flowing ? 'resumed' : 'outage' };
      }
      for (let next = subscriber.take(); next !== undefined; next = subscriber.take()) {
        yield { kind: 'status', ...next };
      }
      if (subscriber.missedUntil !== undefined && !failing) continue;
      const woken = await subscriber.alarm.rang(failing ? RETRY_MS : this.#quietMs);
      if (!woken && flowing) yield { kind: 'alive', position: subscriber.position };
    }
  }

  /** Give what is not offered any more. @returns whether the stream could not be read */
  async *#catchUp(subscriber: Subscriber, signal: AbortSignal): AsyncGenerator<FeedItem, boolean> {
    const until = subscriber.missedUntil;
    if (until === undefined || subscriber.gone) return false;
    try {
      for await (const { position, event } of this.#reader.read(subscriber.position, signal, until)) {
        subscriber.position = position;
        if (matches(event, subscriber.filter)) yield { kind: 'status', position, event };
      }
      if (!signal.aborted) subscriber.position = until;
      return false;
    } catch (error) {
      if (error instanceof TransientError) return true;
      if (!(error instanceof EventsGone)) throw error;
      subscriber.gone = true;
      return false;
    }
  }

  async #start(): Promise<void> {
    const { last, created } = await this.#reader.bounds();
    this.#position = last;
    this.#created = created;
    void this.#run();
  }

  async #watchConnection(): Promise<void> {
    for await (const { type } of this.#nats.status()) {
      if (type === 'disconnect') this.#attempt.abort();
    }
  }

  /** Offer every event to every subscriber, until the end, or until events were lost to all of them. */
  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      this.#attempt = new AbortController();
      try {
        await this.#checkStream();
        this.#turn(true);
        for await (const stored of this.#reader.read(this.#position, this.#attempt.signal)) {
          this.#position = stored.position;
          for (const subscriber of this.#subscribers) subscriber.offer(stored);
        }
      } catch (error) {
        if (error instanceof EventsGone) return this.#giveUp();
        this.#log.debug({ err: error }, 'status events cannot be read');
      }
      if (this.#ending.signal.aborted) return;
      this.#turn(false);
      await pause(RETRY_MS, undefined, { ref: false });
    }
  }

  /** It may have been made again, or have lost its end with the server's disk. */
  async #checkStream(): Promise<void> {
    const { last, created } = await this.#reader.bounds();
    if (created !== this.#created || last < this.#position) throw new EventsGone();
  }

  /** Whoever comes next starts anew. */
  #giveUp(): void {
    this.#running = undefined;
    this.#up = true;
    for (const subscriber of this.#subscribers) {
      subscriber.gone = true;
      subscriber.alarm.ring();
    }
  }

  #turn(up: boolean): void {
    if (up === this.#up) return;
    this.#up = up;
    this.#log.warn(up ? 'status events are read again' : 'status events cannot be read: NATS is away');
    for (const subscriber of this.#subscribers) subscriber.alarm.ring();
  }
}
