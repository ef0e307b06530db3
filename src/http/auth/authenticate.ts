import type { MiddlewareHandler } from 'hono';
import type { TokenSubject } from '../../keystone/client.ts';
import { AmphoraeError } from '../../model/errors.ts';
import type { Api } from '../api.ts';
import { Fault } from '../fault.ts';
import { type Caller, callerOf } from './caller.ts';
import type { Policy } from './policy.ts';

/** How requests are told apart: by Keystone's tokens. */
export interface Access {
  /** Where clients get a token. */
  keystoneUrl: string;
  /** Whom a token stands for; undefined when it is not valid. */
  subject(token: string): Promise<TokenSubject | undefined>;
  policy: Policy;
}

/** What anybody may read (contract A1). */
const PUBLIC = new Set([
  '/',
  '/load-balancer',
  '/healthcheck',
  '/load-balancer/healthcheck',
  '/openapi',
  '/docs',
]);

/** Longest token that is looked at; Keystone's are below 300 characters, PKI tokens were 8 KiB. */
const TOKEN_LIMIT = 8192;

/** Finds out who asks. Without authentication that is always the same one, and everything is allowed. */
export function authenticate(api: Api): MiddlewareHandler {
  return async (context, next) => {
    if (api.access === undefined || !PUBLIC.has(context.req.path))
      context.set('caller', await callerWith(api, context.req.header('x-auth-token')));
    await next();
  };
}

/**
 * Who sends a request with this token.
 * @throws Fault 401 for one that is not valid, 403 for one that is for no project, 503 when it cannot be checked
 */
export async function callerWith({ access, config, log }: Api, token: string | undefined): Promise<Caller> {
  if (access === undefined) return { name: 'unknown', projectId: config.default_project, subject: undefined };
  const subject = await askKeystone(access, token).catch((error) => {
    if (!(error instanceof AmphoraeError)) throw error;
    log.error({ err: error }, 'a token could not be checked');
    throw new Fault(503, 'The identity service cannot check tokens at the moment. Try again later.');
  });
  if (subject === undefined) throw unauthorized(access);
  const caller = callerOf(subject, access.policy);
  if (caller === undefined) {
    throw new Fault(403, 'The token is for no project: get one that is scoped to a project.');
  }
  return caller;
}

async function askKeystone(access: Access, token: string | undefined): Promise<TokenSubject | undefined> {
  if (token === undefined || token.length > TOKEN_LIMIT || !/^[\x21-\x7e]+$/.test(token)) return undefined;
  return access.subject(token);
}

function unauthorized({ keystoneUrl }: Access): Fault {
  return new Fault(401, 'The request you have made requires authentication.', {
    'WWW-Authenticate': `Keystone uri="${keystoneUrl}"`,
  });
}
