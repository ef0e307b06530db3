import { Alarm } from './alarm.ts';
import { type EventFilter, matches } from './event.ts';
import type { StoredEvent } from './stream-reader.ts';

/** Events that wait for a subscriber; most of their memory is shared with other subscribers. */
const WAITING = 1_000;

/** One who follows the events, and how far it has come. */
export class Subscriber {
  readonly filter: EventFilter;
  /** Rings when there is something to do: events to take, a loss, or an end. */
  readonly alarm = new Alarm();
  /** All up to here has been taken, or does not match. */
  position: number;
  /** Events were lost to it. */
  gone = false;
  /** What waits came after this position; what came before has to be read from the stream. */
  #since: number;
  /** Newest position that has been offered. */
  #head: number;
  #waiting: StoredEvent[] = [];

  /** @param head everything after this position will be offered */
  constructor(filter: EventFilter, position: number, head: number) {
    this.filter = filter;
    this.position = position;
    this.#since = head;
    this.#head = head;
  }

  /** Up to where the stream has to be read; undefined when all that was missed is waiting here. */
  get missedUntil(): number | undefined {
    return this.position < this.#since ? this.#since : undefined;
  }

  offer(stored: StoredEvent): void {
    this.#head = stored.position;
    // A client may have seen, at another process, more than this one had when it came.
    if (stored.position <= this.position || !matches(stored.event, this.filter)) return;
    this.#waiting.push(stored);
    if (this.#waiting.length > WAITING) {
      this.#waiting = [];
      this.#since = stored.position;
    }
    this.alarm.ring();
  }

  /** The next event; undefined when none waits, or others have to be read before. */
  take(): StoredEvent | undefined {
    if (this.missedUntil !== undefined) return undefined;
    const stored = this.#waiting.shift();
    this.position = stored?.position ?? Math.max(this.position, this.#head);
    return stored;
  }
}
