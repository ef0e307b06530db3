import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Config } from '../../config.ts';
import type { Access } from '../../http/auth/authenticate.ts';
import { Policy } from '../../http/auth/policy.ts';
import { TokenCache } from '../../http/auth/token-cache.ts';
import { Keystone } from '../../keystone/client.ts';
import { TerminalError, TransientError } from '../../model/errors.ts';
import { checkExposure } from './exposure.ts';
import { serviceAccount } from './service-account.ts';

/**
 * Refuse settings under which everybody, or nobody, could use the API.
 * @throws TerminalError `open_to_everybody`, `not_configured`, `policy_file`
 */
export function checkAccess(config: Config): void {
  checkExposure(config);
  if (config.auth === 'none') return;
  serviceAccount(config);
  openPolicy(config);
}

/** Who may use the API of a process; `access` is undefined where everybody may. */
export async function openAccess(
  config: Config,
  log: Logger,
): Promise<{ access: Access | undefined; close(): Promise<void> }> {
  if (config.auth === 'none') return { access: undefined, close: async () => {} };
  const policy = openPolicy(config);
  if (policy.unused.length > 0)
    log.warn({ rules: policy.unused }, 'the policy file has rules that nothing uses');
  const keystone = new Keystone(serviceAccount(config));
  // Wrong credentials are found now; a Keystone that is away may come back.
  await keystone.logIn().catch(async (error) => {
    if (error instanceof TransientError) return log.warn({ err: error }, 'starting without Keystone');
    await keystone.close();
    throw error;
  });
  const cache = new TokenCache((token) => keystone.validate(token), config.token_cache_seconds * 1000);
  return {
    access: { keystoneUrl: keystone.url, subject: (token) => cache.subject(token), policy },
    close: () => keystone.close(),
  };
}

function openPolicy({ policy_rules: set, policy_file: path }: Config): Policy {
  return new Policy(set, path ? { path, text: readText(path, 'policy_file') } : undefined);
}

function readText(path: string, code: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new TerminalError(code, `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}
