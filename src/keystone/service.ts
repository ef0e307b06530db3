import { setTimeout as pause } from 'node:timers/promises';
import { type Dispatcher, request } from 'undici';
import type * as z from 'zod';
import { type AmphoraeError, TerminalError, TransientError } from '../model/errors.ts';
import { endpointOf, type Facing } from './catalog.ts';
import { classifyRefusal, type Refusal, refusalOf } from './refusal.ts';
import type { Token } from './session.ts';

/** What a call is made for. */
export interface Call {
  signal: AbortSignal;
  /** Sent along, for the service's own log. */
  requestId?: string | undefined;
}

/** Where tokens come from: our own account, or somebody who asks us to act for him. */
export interface TokenSource {
  token(): Promise<Token>;
  /** This token was refused. */
  forget(token: Token): Promise<void>;
}

/** One call to a service as it went, for the log. */
export interface ServiceCall {
  service: string;
  method: string;
  path: string;
  status: number;
  milliseconds: number;
  /** The service's own name for the request; its operator finds it in the service's log. */
  requestId: string | undefined;
}

export interface ServiceRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below the endpoint; ids in it must have come through `segment`. */
  path: string;
  query?: Record<string, string | string[] | undefined>;
  body?: unknown;
  /** What is being done, for the error message: "create port octavia-lb-…". */
  purpose: string;
}

export interface ServiceOptions {
  /** As operators call it: `nova`, `neutron`, ... */
  name: string;
  /** Of the catalog, the usual one first. */
  types: string[];
  session: TokenSource;
  facing: Facing;
  dispatcher: Dispatcher;
  /** Appended to the endpoint if it is not there: `/v2.0`. */
  base?: string;
  /** E.g. `{ 'openstack-api-version': 'compute 2.60' }`. */
  headers?: Record<string, string>;
  onCall?: ((call: ServiceCall) => void) | undefined;
}

/** A busy service is asked again this often; beyond, the effect's own retries take over. */
const BUSY_ATTEMPTS = 4;
const BUSY_PAUSE_SECONDS = 1;
const LONGEST_PAUSE_SECONDS = 30;

/**
 * One OpenStack service. Logs in again when a token is refused in mid-flow, waits as long as a busy service asks for
 * (429, 503 with Retry-After), and turns every failure into a classified error with the service's own words.
 */
export class Service {
  readonly #options: ServiceOptions;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** The same service, asked with the token of somebody else, who sees and may what he sees and may. */
  onBehalfOf(callerToken: string): Service {
    const { session } = this.#options;
    const asCaller: TokenSource = {
      token: async () => ({ ...(await session.token()), id: callerToken }),
      forget: async () => {},
    };
    return new Service({ ...this.#options, session: asCaller });
  }

  /** The project that our account works in, unless it works in none. */
  async project(): Promise<string | undefined> {
    return (await this.#options.session.token()).projectId;
  }

  /**
   * @param explain gives a better error for a refusal that the caller understands, or undefined
   * @throws AmphoraeError; without `explain` as `classifyRefusal` has it
   */
  async send<T extends z.ZodType>(
    call: Call,
    order: ServiceRequest,
    schema: T,
    explain: (refusal: Refusal) => AmphoraeError | undefined = () => undefined,
  ): Promise<z.output<T>> {
    const { name } = this.#options;
    const answer = await this.#exchange(call, order);
    if (answer.status < 300) {
      // To compile a schema takes as long as to read hundreds of answers without.
      const parsed = schema.safeParse(parseJson(answer.content), { jitless: true });
      if (parsed.success) return parsed.data;
      const problem = parsed.error.issues
        .map(({ path, message }) => `${path.join('.')}: ${message}`)
        .join('; ');
      throw new TerminalError(
        'unexpected_answer',
        `${name} gave an answer that is not understood while it should ${order.purpose}: ${problem}`,
      );
    }
    const refusal = refusalOf(name, order.purpose, { ...answer, body: parseJson(answer.content) });
    throw explain(refusal) ?? classifyRefusal(refusal);
  }

  /** The body of an answer as it is, of this content type. */
  async read(call: Call, order: Omit<ServiceRequest, 'body'>, contentType: string): Promise<Buffer> {
    const answer = await this.#exchange(call, order, contentType);
    if (answer.status < 300) return answer.content;
    const { name } = this.#options;
    throw classifyRefusal(refusalOf(name, order.purpose, { ...answer, body: parseJson(answer.content) }));
  }

  /** `send` for what may not exist: undefined for 404. */
  async find<T extends z.ZodType>(
    call: Call,
    order: ServiceRequest,
    schema: T,
    explain?: (refusal: Refusal) => AmphoraeError | undefined,
  ): Promise<z.output<T> | undefined> {
    try {
      return await this.send(call, order, schema, explain);
    } catch (error) {
      if (error instanceof TerminalError && error.code === 'not_found') return undefined;
      throw error;
    }
  }

  async #exchange(call: Call, order: ServiceRequest, accept = 'application/json'): Promise<Answer> {
    let refusedOnce = false;
    for (let attempt = 1; ; attempt += 1) {
      const token = await this.#options.session.token();
      const answer = await this.#once(call, order, token, accept);
      if (answer.status === 401 && !refusedOnce) {
        refusedOnce = true;
        await this.#options.session.forget(token);
        continue;
      }
      const busy = answer.status === 429 || answer.status === 503;
      if (!busy || attempt >= BUSY_ATTEMPTS) return answer;
      const seconds = Math.min(
        answer.retryAfter ?? BUSY_PAUSE_SECONDS * 2 ** (attempt - 1),
        LONGEST_PAUSE_SECONDS,
      );
      await pause(seconds * 1_000, undefined, { signal: call.signal }).catch((cause) => {
        throw cancelled(this.#options.name, order, cause);
      });
    }
  }

  async #once(
    call: Call,
    { method, path, query, body, purpose }: ServiceRequest,
    token: Token,
    accept: string,
  ): Promise<Answer> {
    const { name, types, facing, dispatcher, base = '', headers, onCall } = this.#options;
    const endpoint = endpointOf(token, types, facing);
    const url = new URL(`${endpoint.endsWith(base) ? endpoint : endpoint + base}${path}`);
    for (const [key, value] of Object.entries(query ?? {})) {
      for (const single of [value ?? []].flat()) url.searchParams.append(key, single);
    }
    const startedAt = performance.now();
    try {
      const answer = await request(url, {
        method,
        dispatcher,
        signal: call.signal,
        headers: {
          accept,
          'x-auth-token': token.id,
          ...(call.requestId && { 'x-openstack-request-id': `req-${call.requestId}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
      const content = Buffer.from(await answer.body.arrayBuffer());
      const requestId = first(
        answer.headers['x-openstack-request-id'] ?? answer.headers['x-compute-request-id'],
      );
      const status = answer.statusCode;
      onCall?.({
        service: name,
        method,
        path,
        status,
        milliseconds: performance.now() - startedAt,
        requestId,
      });
      const seconds = Number(first(answer.headers['retry-after']));
      return {
        status,
        content,
        requestId,
        retryAfter: Number.isFinite(seconds) && seconds > 0 ? seconds : undefined,
      };
    } catch (cause) {
      if (call.signal.aborted) throw cancelled(name, { purpose }, cause);
      throw new TransientError(
        'openstack_unreachable',
        `${name} could not be reached at ${url.origin} to ${purpose}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }
}

interface Answer {
  status: number;
  content: Buffer;
  requestId: string | undefined;
  /** Seconds. */
  retryAfter: number | undefined;
}

/** An id as one segment of a path, whatever it contains. */
export const segment = (id: string): string => encodeURIComponent(id);

const first = (header: string | string[] | undefined) => [header].flat()[0];

const cancelled = (name: string, { purpose }: { purpose: string }, cause: unknown) =>
  new TransientError('cancelled', `${name} was not waited for to ${purpose}`, { cause });

/** An empty body is an empty object; undefined when it is no JSON. */
function parseJson(content: Buffer): unknown {
  try {
    return content.length === 0 ? {} : JSON.parse(content.toString());
  } catch {
    return undefined;
  }
}
