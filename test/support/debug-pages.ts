import { pino } from 'pino';
import { loadConfig } from '../../src/config.ts';
import type { Api } from '../../src/http/api.ts';
import { createApi } from '../../src/http/app.ts';
import { Live } from '../../src/http/debug/live.ts';
import { serveApi } from '../../src/http/server.ts';
import { type Runtime, startRuntime } from './runtime.ts';

/** Pages of the visualizer, served for a real runtime. */
export interface DebugPages {
  runtime: Runtime;
  /** Where they are: `http://host:port`. */
  url: string;
  /** What the API was made with. */
  dependencies: Api;
  /** A page, with its status. */
  get(path: string, headers?: Record<string, string>): Promise<Page>;
  /** Send a form as one of our own pages does, or from `origin`. */
  post(path: string, fields: Record<string, string>, headers?: Record<string, string>): Promise<Page>;
  /** Stop serving, as a process that ends. */
  close(): Promise<void>;
  stop(): Promise<void>;
}

export interface Page {
  status: number;
  headers: Headers;
  text: string;
}

export async function startDebugPages(changes: Partial<Api> = {}): Promise<DebugPages> {
  const runtime = await startRuntime();
  try {
    const { db, mailbox, nats, provider } = runtime;
    const log = pino({ level: 'error' });
    const ending = new AbortController();
    const dependencies: Api = {
      ...{ db, mailbox, network: provider.network, config: loadConfig({}, {}), log },
      ...{ live: new Live(nats, log), ending: ending.signal },
      ...changes,
    };
    const server = await serveApi(createApi(dependencies), '127.0.0.1:0');
    const close = async () => {
      ending.abort();
      await server.close();
    };
    const page = async (path: string, options: RequestInit): Promise<Page> => {
      const response = await fetch(`${server.url}${path}`, { redirect: 'manual', ...options });
      return { status: response.status, headers: response.headers, text: await response.text() };
    };
    return {
      runtime,
      url: server.url,
      dependencies,
      get: (path, headers = {}) => page(path, { headers: { accept: 'text/html', ...headers } }),
      post: (path, fields, headers = {}) =>
        page(path, {
          method: 'POST',
          body: new URLSearchParams(fields),
          headers: { origin: server.url, ...headers },
        }),
      close,
      async stop() {
        if (!ending.signal.aborted) await close();
        await runtime.stop();
      },
    };
  } catch (error) {
    await runtime.stop();
    throw error;
  }
}
