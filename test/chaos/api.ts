import { request } from 'undici';

/** What a call came to; undefined: nobody answered, so that nobody knows. */
export type Answer = { status: number; body: Record<string, unknown> } | undefined;

/** Longer than any process is stopped: a request that waits in its socket has been answered, or never will be. */
const ANSWER_MS = 30_000;

/** The REST API as a client of a control plane that dies now and then: no answer is an answer, too. */
export class Api {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<Answer> {
    try {
      const answer = await request(`${this.#url}${path}`, {
        method,
        headers: body ? { 'content-type': 'application/json' } : {},
        body: body ? JSON.stringify(body) : null,
        headersTimeout: ANSWER_MS,
        bodyTimeout: ANSWER_MS,
      });
      const text = await answer.body.text();
      return { status: answer.statusCode, body: text ? JSON.parse(text) : {} };
    } catch {
      return undefined;
    }
  }

  /** The objects of a list; undefined when they cannot be had now. */
  async list<T>(path: string, root: string): Promise<T[] | undefined> {
    const answer = await this.call('GET', path);
    return answer?.status === 200 ? (answer.body[root] as T[]) : undefined;
  }
}
