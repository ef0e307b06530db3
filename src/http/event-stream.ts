import type { ServerResponse } from 'node:http';
import type { Context } from 'hono';
import { Fault } from './fault.ts';

/** A message of the `text/event-stream` format. `data` is sent as JSON. */
export interface ServerSentEvent {
  event: string;
  id?: string;
  data: unknown;
}

export interface StreamLimits {
  /** Streams at once. */
  streams: number;
  /** What may wait for a client that reads slowly. */
  bufferBytes: number;
  /** A comment at least this often, so that nobody on the way takes the stream for dead. */
  heartbeatMs: number;
  /** A stream ends after so long, and who asks for it again is asked again who he is. */
  lifetimeMs: number;
  /** A client that makes no room within this time is given up. */
  patienceMs: number;
}

const limits: StreamLimits = {
  streams: 200,
  bufferBytes: 262_144,
  heartbeatMs: 15_000,
  lifetimeMs: 600_000,
  patienceMs: 30_000,
};

/** Clients come back after this time. */
const RETRY_MS = 500;

const encoder = new TextEncoder();

/** The open streams of a process. */
export class EventStreams {
  readonly #limits: StreamLimits;
  readonly #open = new Set<EventStream>();
  #closed = false;

  constructor(changes: Partial<StreamLimits> = {}) {
    this.#limits = { ...limits, ...changes };
  }

  /**
   * Begin a stream.
   * @throws Fault 503 when there are too many, or the process ends
   */
  open(context: Context): EventStream {
    if (this.#closed || this.#open.size >= this.#limits.streams) {
      throw new Fault(503, 'Too many event streams are open, or the server ends. Try again later.', {
        'Retry-After': '5',
      });
    }
    const stream = new EventStream(context, this.#limits);
    this.#open.add(stream);
    stream.ended.addEventListener('abort', () => this.#open.delete(stream));
    return stream;
  }

  /** End all of them: their clients ask another process, or this one when it is back. */
  close(): void {
    this.#closed = true;
    for (const stream of this.#open) stream.end();
  }
}

/** Events on their way to one client. Ends when the client goes, is too slow, or has been here long enough. */
export class EventStream {
  readonly #context: Context;
  readonly #limits: StreamLimits;
  readonly #end = new AbortController();
  readonly #body: ReadableStream<Uint8Array>;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #room = Promise.withResolvers<void>();

  constructor(context: Context, limits: StreamLimits) {
    this.#context = context;
    this.#limits = limits;
    this.#body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#room.resolve();
          this.#room = Promise.withResolvers();
        },
        cancel: () => this.end(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: limits.bufferBytes }),
    );
    const heartbeat = setInterval(() => this.#write(':\n\n'), limits.heartbeatMs);
    const lifetime = setTimeout(() => this.end(), limits.lifetimeMs);
    this.ended.addEventListener('abort', () => {
      clearInterval(heartbeat);
      clearTimeout(lifetime);
      this.#room.resolve();
    });
    this.#write(`retry: ${RETRY_MS}\n\n`);
  }

  /** Aborted when it ends. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  /** Send now; who has no room left is cut off, and comes back for the rest. */
  send({ event, id, data }: ServerSentEvent): void {
    const lines = [
      ...(id === undefined ? [] : [`id: ${id}`]),
      `event: ${event}`,
      `data: ${JSON.stringify(data)}`,
    ];
    this.#write(`${lines.join('\n')}\n\n`);
  }

  /** Resolves when there is room again, or the stream has ended, which it does when there is none for too long. */
  async room(): Promise<void> {
    if (this.ended.aborted || (this.#controller.desiredSize ?? 0) > 0) return;
    const impatience = setTimeout(() => this.end(), this.#limits.patienceMs);
    await this.#room.promise;
    clearTimeout(impatience);
  }

  end(): void {
    if (this.ended.aborted) return;
    this.#end.abort();
    try {
      this.#controller.close();
    } catch {
      // The client has cancelled it.
    }
    // One that does not read would keep what waits for it, and its connection.
    const { outgoing } = this.#context.env as { outgoing?: ServerResponse };
    setTimeout(() => outgoing?.destroy(), this.#limits.patienceMs).unref();
  }

  answer(): Response {
    return this.#context.body(this.#body, 200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
      // nginx would collect events.
      'X-Accel-Buffering': 'no',
      'X-Content-Type-Options': 'nosniff',
    });
  }

  #write(text: string): void {
    if (this.ended.aborted) return;
    if ((this.#controller.desiredSize ?? 0) <= 0) this.end();
    else this.#controller.enqueue(encoder.encode(text));
  }
}
