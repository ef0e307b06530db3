import { request } from 'undici';
import { TerminalError, TransientError } from '../model/errors.ts';

/** The REST API as the command line uses it: JSON in, JSON out, errors with the API's own words. */
export class RestClient {
  readonly url: string;
  readonly #headers: Record<string, string>;

  /**
   * @param url where the API answers, without a path: `http://127.0.0.1:9876`.
   * @param headers what goes with every request.
   */
  constructor(url: string, headers: Record<string, string> = {}) {
    this.url = url.replace(/\/+$/, '');
    this.#headers = headers;
  }

  /** The body of the answer, undefined when there is none. @throws TransientError, TerminalError */
  async call<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<T> {
    const answer = await request(`${this.url}${path}`, {
      method,
      headers: { ...this.#headers, ...(body && { 'content-type': 'application/json' }) },
      body: body ? JSON.stringify(body) : null,
      headersTimeout: 30_000,
      bodyTimeout: 30_000,
    }).catch((cause: Error) => {
      throw new TransientError(
        'api_unreachable',
        `no answer from ${this.url}: ${cause.message}; is \`amphorae up\` running?`,
        { cause },
      );
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 400) {
      throw new TerminalError('api_refused', `${method} ${path}: ${answer.statusCode} ${faultOf(text)}`);
    }
    return (text ? JSON.parse(text) : undefined) as T;
  }
}

function faultOf(text: string): string {
  try {
    return (JSON.parse(text) as { faultstring?: string }).faultstring ?? text;
  } catch {
    return text;
  }
}
