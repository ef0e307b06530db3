import {
  deadline,
  headers,
  type JetStreamClient,
  JSONCodec,
  type NatsConnection,
  NatsError,
  nanos,
  StorageType,
} from 'nats';
import { ALL_SUBJECTS, type StatusEvent, subjectOf } from './event.ts';

export const STREAM = 'AMPHORAE_STATUS';

/** How long the server may take to store an event. */
const ACK_MS = 5_000;

/** Error codes of the JetStream API. */
const NO_MESSAGE_FOUND = 10037;
const STREAM_NOT_FOUND = 10059;

/** Older events are dropped when either is exceeded. */
export interface StreamLimits {
  maxAgeMs: number;
  maxBytes: number;
}

/** How long the server remembers message ids: its own default, which it says must not exceed the age. */
const DUPLICATES_MS = 120_000;

const codec = JSONCodec<StatusEvent>();

/**
 * The JetStream stream of status events, as its only writer sees it. Every event says after which position of the stream
 * it belongs, so that the server stores them without a gap, in order, and refuses what a writer that has been replaced
 * still had in its buffers. Message ids let the server drop what comes twice besides.
 */
export class StatusStream {
  readonly #nats: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #limits: StreamLimits;
  /** Sequence of the last message in the stream; undefined when it has to be asked for. */
  #position: number | undefined;
  /** Events may have been stored without our knowledge: by a predecessor, or in an attempt that failed. */
  #unsure = true;

  constructor(nats: NatsConnection, limits: StreamLimits) {
    this.#nats = nats;
    this.#client = nats.jetstream();
    this.#limits = limits;
  }

  /** Make the stream unless it is there, or bring its limits up to date; what an operator changed besides, stays. */
  async open(): Promise<number> {
    if (this.#position !== undefined) return this.#position;
    // Rejects at once without a connection, where a request would wait in the client's memory.
    await deadline(this.#nats.rtt(), ACK_MS);
    const { streams } = await this.#nats.jetstreamManager();
    const wanted = {
      subjects: [ALL_SUBJECTS],
      max_age: nanos(this.#limits.maxAgeMs),
      max_bytes: this.#limits.maxBytes,
      duplicate_window: nanos(Math.min(this.#limits.maxAgeMs, DUPLICATES_MS)),
    };
    const found = await streams.info(STREAM).catch(unless(STREAM_NOT_FOUND));
    const { config, state } =
      found ?? (await streams.add({ name: STREAM, storage: StorageType.File, ...wanted }));
    if (config.max_age !== wanted.max_age || config.max_bytes !== wanted.max_bytes)
      await streams.update(STREAM, { ...config, ...wanted });
    this.#position = state.last_seq;
    return state.last_seq;
  }

  /**
   * Append events, in the given order. Resolves when the server has stored all; when it rejects, some of the first may be
   * stored, and calling again with the same events completes them.
   * @param succession another process may have appended since the last call.
   */
  async append(events: StatusEvent[], succession: boolean): Promise<void> {
    const unsure = succession || this.#unsure;
    if (unsure) this.#position = undefined;
    const position = await this.open();
    const missing = unsure && position > 0 ? await this.#missing(events) : events;
    const last = missing.at(-1);
    this.#unsure = true;
    for (const [index, event] of missing.slice(0, -1).entries()) this.#send(event, position + index);
    // It is stored after all the others or not at all, so that its answer is the answer to all.
    if (last !== undefined) {
      await this.#client.publish(subjectOf(last), codec.encode(last), {
        msgID: messageId(last),
        expect: { streamName: STREAM, lastSequence: position + missing.length - 1 },
        timeout: ACK_MS,
      });
    }
    this.#position = position + missing.length;
    this.#unsure = false;
  }

  /** Append an event after a position, and ask for no answer. */
  #send(event: StatusEvent, position: number): void {
    const wishes = headers();
    wishes.set('Nats-Msg-Id', messageId(event));
    wishes.set('Nats-Expected-Stream', STREAM);
    wishes.set('Nats-Expected-Last-Sequence', String(position));
    this.#nats.publish(subjectOf(event), codec.encode(event), { headers: wishes });
  }

  /** Those that the stream does not have yet. The events of one object are stored in their order, so its last one tells. */
  async #missing(events: StatusEvent[]): Promise<StatusEvent[]> {
    const { streams } = await this.#nats.jetstreamManager();
    const subjects = [...new Set(events.map(subjectOf))];
    const stored = await Promise.all(
      subjects.map(async (subject) => {
        const last = await streams
          .getMessage(STREAM, { last_by_subj: subject })
          .catch(unless(NO_MESSAGE_FOUND));
        return [subject, last ? codec.decode(last.data).sequence : 0] as const;
      }),
    );
    const last = new Map(stored);
    return events.filter((event) => event.sequence > (last.get(subjectOf(event)) ?? 0));
  }
}

function messageId({ id, sequence }: StatusEvent): string {
  return `${id}.${sequence}`;
}

/** To be passed to `catch`: undefined for an answer of JetStream with this code. */
function unless(code: number) {
  return (error: unknown): undefined => {
    if (error instanceof NatsError && error.api_error?.err_code === code) return undefined;
    throw error;
  };
}
