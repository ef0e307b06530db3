import {
  AckPolicy,
  type Consumer,
  DeliverPolicy,
  deadline,
  type JsMsg,
  type NatsConnection,
  nanos,
} from 'nats';
import { AmphoraeError, TransientError } from '../model/errors.ts';
import { StatusEvent } from './event.ts';
import { STREAM } from './stream.ts';

/** An event and where it is on the stream. */
export interface StoredEvent {
  position: number;
  event: StatusEvent;
}

/** What the stream has: the positions of its oldest and its newest event, and when it was made. */
export interface Bounds {
  first: number;
  last: number;
  created: string;
}

/** Events that were asked for are not on the stream any more. */
export class EventsGone extends Error {}

/** How long the server may take to answer. */
const ANSWER_MS = 5_000;
/** Events of one request: a slow reader has no more than these in memory. */
const BATCH = 256;
/** How long a request waits for events. */
const WAIT_MS = 5_000;
/** The server forgets a reader that has gone without a word. */
const FORGOTTEN_MS = 60_000;

/** Reads the stream of status events from any position that it still has. */
export class StreamReader {
  readonly #nats: NatsConnection;

  constructor(nats: NatsConnection) {
    this.#nats = nats;
  }

  /** @throws TransientError `no_status_stream` when NATS is away, or the stream is not there yet */
  async bounds(): Promise<Bounds> {
    try {
      // Rejects at once without a connection, where a request would wait in the client's memory.
      await deadline(this.#nats.rtt(), ANSWER_MS);
      const { streams } = await this.#nats.jetstreamManager({ timeout: ANSWER_MS });
      const { state, created } = await streams.info(STREAM);
      return { first: state.first_seq, last: state.last_seq, created };
    } catch (error) {
      throw classified(error);
    }
  }

  /**
   * The events after a position, in their order and none left out, as they come, until `signal` is aborted.
   * @param until ends with the event at this position
   * @throws EventsGone, TransientError `no_status_stream`
   */
  async *read(
    after: number,
    signal: AbortSignal,
    until = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<StoredEvent> {
    let consumer: Consumer | undefined;
    let stop = () => {};
    const onAbort = () => stop();
    signal.addEventListener('abort', onAbort);
    try {
      consumer = await this.#consume(after);
      let delivered = 0;
      let last = after;
      while (!signal.aborted && last < until) {
        const begun = last;
        let skipped = false;
        const messages = await consumer.fetch({ max_messages: BATCH, expires: WAIT_MS });
        stop = () => void messages.close();
        for await (const message of messages) {
          const { streamSequence, deliverySequence } = message.info;
          delivered += 1;
          if (deliverySequence !== delivered) throw unreadable('events were lost on their way');
          skipped ||= streamSequence !== last + 1;
          last = streamSequence;
          const event = eventIn(message);
          if (event !== undefined && last <= until) yield { position: last, event };
          if (last >= until) break;
        }
        // Also finds out whether the server is there at all: a request that nobody hears ends like one without events.
        const { first } = await this.bounds();
        if (first > (skipped ? begun : last) + 1) throw new EventsGone();
      }
    } catch (error) {
      throw classified(error);
    } finally {
      signal.removeEventListener('abort', onAbort);
      await consumer?.delete().catch(() => {}); // it is forgotten by itself
    }
  }

  /** Without a filter: a reader has to know when it has come to an end, and counts of what is pending are not exact. */
  async #consume(after: number): Promise<Consumer> {
    const manager = await this.#nats.jetstreamManager({ timeout: ANSWER_MS });
    const info = await manager.consumers.add(STREAM, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: after + 1,
      ack_policy: AckPolicy.None,
      inactive_threshold: nanos(FORGOTTEN_MS),
      mem_storage: true,
    });
    return this.#nats.jetstream({ timeout: ANSWER_MS }).consumers.getPullConsumerFor(info);
  }
}

/** What somebody else has put on the stream is none. */
function eventIn(message: JsMsg): StatusEvent | undefined {
  try {
    return StatusEvent.safeParse(message.json()).data;
  } catch {
    return undefined;
  }
}

function classified(error: unknown): unknown {
  return error instanceof EventsGone || error instanceof AmphoraeError ? error : unreadable(error);
}

function unreadable(cause: unknown): TransientError {
  return new TransientError('no_status_stream', 'the stream of status events cannot be read', { cause });
}
