import { type Agent, request } from 'undici';
import * as z from 'zod';
import { TerminalError, TransientError } from '../model/errors.ts';
import { identityUrl, type ServiceAccount } from './account.ts';
import { connectionsOf } from './connections.ts';
import { KeystoneSession, type Token } from './session.ts';

/** Whom a token stands for, as Keystone says. */
export interface TokenSubject {
  userId: string;
  userName: string;
  userDomainId: string;
  /** Undefined for tokens of another scope, or of none. */
  projectId: string | undefined;
  projectDomainId: string | undefined;
  domainId: string | undefined;
  systemScope: string | undefined;
  roles: string[];
  expiresAt: Date;
}

const Named = z.object({ id: z.string(), name: z.string().optional() });
const TokenBody = z.object({
  token: z.object({
    expires_at: z.iso.datetime({ offset: true }).transform((text) => new Date(text)),
    user: Named.extend({ domain: Named.optional() }),
    project: Named.extend({ domain: Named.optional() }).optional(),
    domain: Named.optional(),
    system: z.object({ all: z.boolean().optional() }).optional(),
    roles: z.array(z.object({ name: z.string() })).default([]),
  }),
});

/** How long one call may take. */
const DEADLINE_MS = 10_000;
/** Keystone v3, as far as a service needs it to know its callers: what their tokens say. */
export class Keystone {
  readonly url: string;
  readonly #agent: Agent;
  readonly #session: KeystoneSession;

  constructor(account: ServiceAccount) {
    this.url = identityUrl(account);
    this.#agent = connectionsOf(account);
    this.#session = new KeystoneSession(account, this.#agent);
  }

  /** Log in with our own account; throws as `KeystoneSession.token` does. */
  async logIn(): Promise<void> {
    await this.#session.token();
  }

  /**
   * Whom a token stands for; undefined when Keystone does not know it, or not any more.
   * @throws TransientError `keystone_unavailable`; TerminalError when our own account may not ask
   */
  async validate(token: string): Promise<TokenSubject | undefined> {
    const own = await this.#session.token();
    const first = await this.#ask(token, own);
    if (first !== 'own token refused') return first;
    await this.#session.forget(own);
    const second = await this.#ask(token, await this.#session.token());
    if (second !== 'own token refused') return second;
    throw credentialsError('Keystone refuses the token that it has just given to our own account');
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #ask(token: string, own: Token): Promise<TokenSubject | undefined | 'own token refused'> {
    const { status, body } = await this.#get({ 'x-auth-token': own.id, 'x-subject-token': token });
    if (status === 404) return undefined;
    if (status === 401) return 'own token refused';
    if (status === 403) {
      throw credentialsError(
        'Keystone does not let our own account validate tokens: give it the role service or admin',
      );
    }
    const parsed = TokenBody.safeParse(body);
    if (status !== 200 || !parsed.success)
      throw unavailable(`an answer of status ${status} that says nothing`);
    const { user, project, domain, system, roles, expires_at } = parsed.data.token;
    return {
      userId: user.id,
      userName: user.name ?? user.id,
      userDomainId: user.domain?.id ?? '',
      projectId: project?.id,
      projectDomainId: project?.domain?.id,
      domainId: domain?.id,
      systemScope: system?.all ? 'all' : undefined,
      roles: roles.map(({ name }) => name),
      expiresAt: expires_at,
    };
  }

  async #get(headers: Record<string, string>) {
    try {
      const answer = await request(`${this.url}/auth/tokens?nocatalog`, {
        headers: { accept: 'application/json', ...headers },
        dispatcher: this.#agent,
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
      const text = await answer.body.text();
      if (answer.statusCode >= 500) throw new Error(`status ${answer.statusCode}`);
      return { status: answer.statusCode, body: parseJson(text) };
    } catch (cause) {
      throw unavailable((cause as Error).message, cause);
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const unavailable = (reason: string, cause?: unknown) =>
  new TransientError('keystone_unavailable', `Keystone cannot be asked: ${reason}`, { cause });

const credentialsError = (message: string) =>
  new TerminalError('keystone_credentials', `${message}; check the OS_* settings`);
