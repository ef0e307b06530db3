import { type Dispatcher, request } from 'undici';
import * as z from 'zod';
import { TerminalError, TransientError } from '../model/errors.ts';
import { authenticationBody, identityUrl, type ServiceAccount } from './account.ts';

/** A token of our own account, and what it opens. */
export interface Token {
  id: string;
  expiresAt: Date;
  userId: string;
  projectId: string | undefined;
  roles: string[];
  catalog: z.output<typeof Service>[];
}

const Service = z.object({
  type: z.string(),
  endpoints: z.array(z.object({ interface: z.string(), region: z.string().nullish(), url: z.string() })),
});

const TokenBody = z.object({
  token: z.object({
    expires_at: z.coerce.date(),
    user: z.object({ id: z.string() }),
    project: z.object({ id: z.string() }).optional(),
    roles: z.array(z.object({ name: z.string() })).default([]),
    catalog: z.array(Service).default([]),
  }),
});

const Refusal = z.object({ error: z.object({ message: z.string() }) });

/** A token that ends while a call is on its way would be refused there. */
const RENEWAL_MS = 60_000;
const LOGIN_DEADLINE_MS = 10_000;

/**
 * Our account at Keystone v3: one token, shared by all callers, renewed before it expires. A service that refuses it
 * earlier (revoked, Keystone restored) is answered with `forget`, and the next call logs in again.
 */
export class KeystoneSession {
  readonly #account: ServiceAccount;
  readonly #dispatcher: Dispatcher;
  #token: Promise<Token> | undefined;

  constructor(account: ServiceAccount, dispatcher: Dispatcher) {
    this.#account = account;
    this.#dispatcher = dispatcher;
  }

  /**
   * A token that is good for a minute at least.
   * @throws TerminalError `keystone_credentials` when the account is wrong; TransientError `keystone_unavailable`
   */
  async token(): Promise<Token> {
    const pending = this.#token;
    const known = await pending?.catch(() => undefined);
    if (known && known.expiresAt.getTime() - Date.now() > RENEWAL_MS) return known;
    // Whoever comes first logs in, for all who waited.
    if (this.#token === pending) this.#token = this.#login();
    return this.#token as Promise<Token>;
  }

  /** This token was refused somewhere: log in again for the next call. */
  async forget(token: Token): Promise<void> {
    if ((await this.#token?.catch(() => undefined)) === token) this.#token = undefined;
  }

  async #login(): Promise<Token> {
    const url = `${identityUrl(this.#account)}/auth/tokens`;
    let status: number;
    let body: unknown;
    let id: string | string[] | undefined;
    try {
      const answer = await request(url, {
        method: 'POST',
        dispatcher: this.#dispatcher,
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(authenticationBody(this.#account)),
        // Of its own, not of a caller: several wait for the same token.
        signal: AbortSignal.timeout(LOGIN_DEADLINE_MS),
      });
      status = answer.statusCode;
      id = answer.headers['x-subject-token'];
      body = await answer.body.json().catch(() => undefined);
    } catch (cause) {
      throw new TransientError(
        'keystone_unavailable',
        `Keystone does not answer at ${url}: ${(cause as Error).message}`,
        { cause },
      );
    }
    const parsed = TokenBody.safeParse(body);
    if (status === 201 && typeof id === 'string' && parsed.success) {
      const { expires_at, user, project, roles, catalog } = parsed.data.token;
      return {
        id,
        expiresAt: expires_at,
        userId: user.id,
        projectId: project?.id,
        roles: roles.map(({ name }) => name),
        catalog,
      };
    }
    const said = Refusal.safeParse(body).data?.error.message ?? 'no reason given';
    if (status === 429 || status >= 500) {
      throw new TransientError('keystone_unavailable', `Keystone at ${url} answered ${status}: ${said}`);
    }
    throw new TerminalError(
      'keystone_credentials',
      `Keystone at ${url} does not accept our account (${status}): ${said}; check the OS_* settings`,
    );
  }
}
