import { Agent, request } from 'undici';
import { z } from 'zod';
import { TerminalError, TransientError } from '../model/errors.ts';

/** The account that this service has at Keystone: a user with a password, or an application credential. */
export interface ServiceAccount {
  /** Keystone's address, with or without `/v3`. */
  authUrl: string;
  /** PEM of the certificate authorities to trust; absent: those of the system. */
  ca?: string | undefined;
  method:
    | { password: { user: NamedIn; password: string; project: NamedIn } }
    | { applicationCredential: { id: string; secret: string } };
}

/** Something that has an id, or a name in a domain. */
export type NamedIn = { id: string } | { name: string; domain: { id: string } | { name: string } };

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
const Token = z.object({
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
/** A token this near to its end is replaced: it has to live as long as the call that it is used for. */
const RENEW_BEFORE_MS = 60_000;

interface OwnToken {
  id: string;
  expiresAt: Date;
}

/** Keystone v3, as far as a service needs it: a token of its own, and what other tokens say. */
export class Keystone {
  readonly url: string;
  readonly #account: ServiceAccount;
  readonly #agent: Agent;
  #own: Promise<OwnToken> | undefined;

  constructor(account: ServiceAccount) {
    this.url = `${account.authUrl.replace(/\/+$/, '').replace(/\/v3$/, '')}/v3`;
    this.#account = account;
    this.#agent = new Agent({ connect: account.ca === undefined ? {} : { ca: account.ca } });
  }

  /**
   * A token of the service's own account, renewed before it ends.
   * @throws TransientError `keystone_unavailable`; TerminalError `keystone_credentials` when it is not let in
   */
  async token(): Promise<string> {
    const running = this.#own;
    const own = await running;
    if (own !== undefined && own.expiresAt.getTime() - Date.now() > RENEW_BEFORE_MS) return own.id;
    // Whoever waited for the same token finds that another one has begun to replace it.
    if (this.#own === running) {
      const renewing = this.#authenticate();
      this.#own = renewing;
      renewing.catch(() => {
        if (this.#own === renewing) this.#own = undefined;
      });
    }
    return this.token();
  }

  /**
   * Whom a token stands for; undefined when Keystone does not know it, or not any more.
   * @throws TransientError `keystone_unavailable`; TerminalError when our own account may not ask
   */
  async validate(token: string): Promise<TokenSubject | undefined> {
    const first = await this.#ask(token);
    if (first !== 'own token refused') return first;
    this.#own = undefined;
    const second = await this.#ask(token);
    if (second !== 'own token refused') return second;
    throw credentialsError('Keystone refuses the token that it has just given to our own account');
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #ask(token: string): Promise<TokenSubject | undefined | 'own token refused'> {
    const { status, body } = await this.#call('GET', {
      'x-auth-token': await this.token(),
      'x-subject-token': token,
    });
    if (status === 404) return undefined;
    if (status === 401) return 'own token refused';
    if (status === 403) {
      throw credentialsError(
        'Keystone does not let our own account validate tokens: give it the role service or admin',
      );
    }
    const parsed = Token.safeParse(body);
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

  async #authenticate(): Promise<OwnToken> {
    const { status, headers, body } = await this.#call('POST', {}, { auth: authOf(this.#account.method) });
    if (status === 401 || status === 403 || status === 404) {
      throw credentialsError(`Keystone at ${this.url} does not accept our account (${status})`);
    }
    const id = headers['x-subject-token'];
    const parsed = Token.safeParse(body);
    if (status !== 201 || typeof id !== 'string' || !parsed.success) {
      throw unavailable(`an answer of status ${status} without a token`);
    }
    return { id, expiresAt: parsed.data.token.expires_at };
  }

  async #call(method: 'GET' | 'POST', headers: Record<string, string>, body?: object) {
    try {
      const answer = await request(`${this.url}/auth/tokens?nocatalog`, {
        method,
        headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
        body: body === undefined ? null : JSON.stringify(body),
        dispatcher: this.#agent,
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
      const text = await answer.body.text();
      if (answer.statusCode >= 500) throw new Error(`status ${answer.statusCode}`);
      return { status: answer.statusCode, headers: answer.headers, body: parseJson(text) };
    } catch (cause) {
      throw unavailable((cause as Error).message, cause);
    }
  }
}

function authOf(method: ServiceAccount['method']): object {
  if ('applicationCredential' in method) {
    return {
      identity: {
        methods: ['application_credential'],
        application_credential: method.applicationCredential,
      },
    };
  }
  const { user, password, project } = method.password;
  return {
    identity: { methods: ['password'], password: { user: { ...user, password } } },
    scope: { project },
  };
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
