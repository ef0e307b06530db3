import {
  deadline,
  type JetStreamClient,
  type JetStreamManager,
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

  constructor(nats: NatsConnection, limits: StreamLimits) {
    this.#nats = nats;
    this.#client = nats.jetstream();
    this.#limits = limits;
  }

  /**
   * Append events, in the given order. Resolves when the server has stored all; when it rejects, some of the first may be
   * stored, and calling again with the same events completes them.
   * @param succession another process may have appended since the last call.
   */
  async append(events: StatusEvent[], succession: boolean): Promise<void> {
    // Rejects at once without a connection, where a publish would wait in the client's memory.
    await deadline(this.#nats.rtt(), ACK_MS);
    let missing = events;
    if (succession || this.#position === undefined) {
      const manager = await this.#nats.jetstreamManager();
      this.#position = await this.#open(manager);
      if (this.#position > 0) missing = await this.#missing(manager, events);
    }
    const position = this.#position;
    this.#position = undefined;
    await Promise.all(
      missing.map((event, index) =>
        this.#client.publish(subjectOf(event), codec.encode(event), {
          msgID: `${event.id}.${event.sequence}`,
          expect: { streamName: STREAM, lastSequence: position + index },
          timeout: ACK_MS,
        }),
      ),
    );
    this.#position = position + missing.length;
  }

  /** Make the stream, or bring its limits up to date and leave what an operator has changed besides. */
  async #open({ streams }: JetStreamManager): Promise<number> {
    const wanted = {
      subjects: [ALL_SUBJECTS],
      max_age: nanos(this.#limits.maxAgeMs),
      max_bytes: this.#limits.maxBytes,
    };
    const found = await streams.info(STREAM).catch(unless(STREAM_NOT_FOUND));
    if (found === undefined) {
      const { state } = await streams.add({ name: STREAM, storage: StorageType.File, ...wanted });
      return state.last_seq;
    }
    const { config, state } = found;
    if (config.max_age !== wanted.max_age || config.max_bytes !== wanted.max_bytes)
      await streams.update(STREAM, { ...config, ...wanted });
    return state.last_seq;
  }

  /** Those that the stream does not have yet. The events of one object are stored in their order, so its last one tells. */
  async #missing({ streams }: JetStreamManager, events: StatusEvent[]): Promise<StatusEvent[]> {
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

/** To be passed to `catch`: undefined for an answer of JetStream with this code. */
function unless(code: number) {
  return (error: unknown): undefined => {
    if (error instanceof NatsError && error.api_error?.err_code === code) return undefined;
    throw error;
  };
}
