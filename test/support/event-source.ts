import { request } from 'undici';

/** A block of a stream of server-sent events. */
export interface Block {
  event: string;
  id: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into data of many shapes.
  data: any;
}

/** A stream of server-sent events, as a client without an own mind sees it: it does not come again by itself. */
export interface EventSource {
  /** The next event; undefined at the end of the stream. @throws when none comes in time */
  next(seconds?: number): Promise<Block | undefined>;
  /** The next event of this name; those before it are dropped. */
  until(event: string, seconds?: number): Promise<Block>;
  /** Id of the last block, also of those that are no event. */
  readonly lastId: number;
  close(): void;
}

/** @throws an error with the fault's status and text when the stream is refused */
export async function openEvents(url: string, headers: Record<string, string> = {}): Promise<EventSource> {
  const end = new AbortController();
  const { statusCode, body } = await request(url, { headers, signal: end.signal, bodyTimeout: 0 });
  if (statusCode !== 200) throw new Error(`${statusCode}: ${await body.text()}`);
  const blocks = blocksOf(body);
  let lastId = Number.NaN;

  const next = async (seconds = 10): Promise<Block | undefined> => {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`no event within ${seconds} s`)), seconds * 1000);
    try {
      for (;;) {
        const { value } = await Promise.race([blocks.next(), late.promise]);
        if (value === undefined) return undefined;
        if (value.id !== undefined) lastId = Number(value.id);
        if (value.data !== undefined)
          return { event: value.event ?? 'message', id: lastId, data: JSON.parse(value.data) };
      }
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    next,
    async until(event, seconds) {
      for (;;) {
        const block = await next(seconds);
        if (block === undefined) throw new Error(`the stream ended before ${event}`);
        if (block.event === event) return block;
      }
    },
    get lastId() {
      return lastId;
    },
    close: () => end.abort(),
  };
}

async function* blocksOf(body: AsyncIterable<Buffer>): AsyncGenerator<Record<string, string>> {
  let text = '';
  for await (const chunk of body) {
    const blocks = `${text}${chunk}`.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      yield Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s, 2)));
    }
  }
}
