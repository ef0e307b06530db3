import { readFileSync } from 'node:fs';
import type { Config } from '../../config.ts';
import type { NamedIn, ServiceAccount } from '../../keystone/account.ts';
import { TerminalError } from '../../model/errors.ts';

/** The service's own account, from the settings os_*. @throws TerminalError `not_configured` */
export function serviceAccount(config: Config): ServiceAccount {
  const missing = (what: string) =>
    new TerminalError(
      'not_configured',
      `the service's own account needs ${what}: set it, or source the account's openrc`,
    );
  if (!config.os_auth_url) throw missing('OS_AUTH_URL');
  const place = {
    authUrl: config.os_auth_url,
    ca: config.os_cacert ? readAuthorities(config.os_cacert) : undefined,
  };
  const { os_application_credential_id: id, os_application_credential_secret: secret } = config;
  if (id && secret) return { ...place, method: { applicationCredential: { id, secret } } };

  const { os_user_id, os_username, os_password: password, os_project_id, os_project_name } = config;
  if (!os_user_id && !os_username) throw missing('OS_USERNAME');
  if (!password) throw missing('OS_PASSWORD');
  if (!os_project_id && !os_project_name) throw missing('OS_PROJECT_NAME');
  const user = named(os_user_id, os_username, config.os_user_domain_id, config.os_user_domain_name);
  const project = named(
    os_project_id,
    os_project_name,
    config.os_project_domain_id,
    config.os_project_domain_name,
  );
  return { ...place, method: { password: { user, password, project } } };
}

function named(id: string, name: string, domainId: string, domainName: string): NamedIn {
  if (id) return { id };
  return { name, domain: domainId ? { id: domainId } : { name: domainName || 'Default' } };
}

function readAuthorities(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new TerminalError('not_configured', `os_cacert: cannot read ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
