import type { ServerResponse } from 'node:http';
import type { Context } from 'hono';
import { isUnavailable } from '../store/database-errors.ts';
import { Fault } from './fault.ts';

/** How long a client may leave unread what was sent to it. */
const STALLED_MS = 60_000;

const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  // A process that ends has no connections to wait for.
  Connection: 'close',
  // A proxy that gathers output would hold events back.
  'X-Accel-Buffering': 'no',
};

export interface StreamLimits {
  /** Streams at once of this process. */
  total: number;
  /** Of these, those of one holder, where it is known. */
  perHolder: number;
  /** A stream ends after this long, and its client comes again. */
  longestMs: number;
}

/** A block of a stream of server-sent events. @param id what a client that comes again sends as `Last-Event-ID` */
export function eventBlock(event: string, data: unknown, id?: number | string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

const later = (reason: string) => new Fault(503, `${reason}. Try again later.`, { 'Retry-After': '10' });

/** Answers with server-sent events: how many at once, for how long, and until when. */
export class EventStreams {
  readonly #limits: StreamLimits;
  readonly #open = new Map<AbortController, string | undefined>();
  #closed = false;

  /** @param ending aborted when the process ends; every stream ends then, as none would by itself. */
  constructor(limits: StreamLimits, ending?: AbortSignal) {
    this.#limits = limits;
    ending?.addEventListener('abort', () => this.#close(), { once: true });
  }

  /**
   * Answer with the blocks that `open` resolves with. They are asked for one by one, as fast as the client reads them, and
   * have to end when their signal is aborted: the client has gone, or reads nothing, or it is time.
   * @param holder whose share of the streams this one belongs to
   * @throws Fault 429, 503; and what `open` rejects with
   */
  async answer(
    context: Context,
    holder: string | undefined,
    open: (signal: AbortSignal) => Promise<AsyncIterable<string>>,
  ): Promise<Response> {
    this.#admit(holder);
    const end = new AbortController();
    this.#open.set(end, holder);
    const longest = setTimeout(() => end.abort(), this.#limits.longestMs);
    end.signal.addEventListener('abort', () => {
      clearTimeout(longest);
      this.#open.delete(end);
    });
    try {
      const blocks = (await open(end.signal))[Symbol.asyncIterator]();
      if (end.signal.aborted) throw later('This process is ending');
      return context.body(this.#body(context, blocks, end), 200, HEADERS);
    } catch (error) {
      end.abort();
      throw error;
    }
  }

  #admit(holder: string | undefined): void {
    const held = [...this.#open.values()].filter((each) => each === holder).length;
    if (holder !== undefined && held >= this.#limits.perHolder) {
      throw new Fault(429, `No more than ${held} streams at once: close one, or share one.`, {
        'Retry-After': '10',
      });
    }
    if (this.#closed || this.#open.size >= this.#limits.total) {
      throw later(this.#closed ? 'This process is ending' : 'There are too many streams');
    }
  }

  #body(context: Context, blocks: AsyncIterator<string>, end: AbortController): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    const { outgoing } = (context.env ?? {}) as { outgoing?: ServerResponse };
    let stalled: NodeJS.Timeout | undefined;
    end.signal.addEventListener('abort', () => {
      clearTimeout(stalled);
      // One that waits for a client to read would keep what it holds.
      void blocks.return?.();
    });
    let gone = false;
    return new ReadableStream(
      {
        pull: async (controller) => {
          clearTimeout(stalled);
          const next = await blocks.next().catch((error: unknown) => {
            // While the database is away clients come again and again, and each other request says so, too.
            const level = isUnavailable(error) ? 'debug' : 'error';
            context.get('log')[level]({ err: error }, 'a stream of events broke off');
            return { done: true, value: undefined } as const;
          });
          if (next.done || end.signal.aborted) {
            end.abort();
            return gone ? undefined : controller.close();
          }
          controller.enqueue(encoder.encode(next.value));
          stalled = setTimeout(() => outgoing?.destroy(), STALLED_MS);
        },
        cancel: () => {
          gone = true;
          end.abort();
        },
      },
      { highWaterMark: 0 },
    );
  }

  #close(): void {
    this.#closed = true;
    for (const end of this.#open.keys()) end.abort();
  }
}
