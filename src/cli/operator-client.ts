import { userInfo } from 'node:os';
import type { Config } from '../config.ts';
import { connectionsOf } from '../keystone/connections.ts';
import { KeystoneSession } from '../keystone/session.ts';
import type { Command, Invocation } from './command.ts';
import { RestClient } from './rest-client.ts';
import { serviceAccount } from './serve/service-account.ts';
import { urlOf } from './up/address.ts';

/** The option that `operatorClient` takes. */
export const urlOption = {
  url: {
    type: 'string',
    value: 'URL',
    description: 'Where the REST API answers. Default: where `up` listens.',
  },
} as const satisfies Command['options'];

/**
 * The REST API as an operator on this host calls it. Where OS_* names an account, it is logged in to Keystone with that;
 * otherwise what is changed is recorded under the name of the user.
 * @throws TerminalError, TransientError when Keystone does not let the account in, or cannot be reached
 */
export async function operatorClient(config: Config, { url }: Invocation['options']): Promise<RestClient> {
  return new RestClient(typeof url === 'string' ? url : urlOf(config.listen), {
    'x-amphorae-operator': encodeURIComponent(userInfo().username),
    ...(config.os_auth_url && { 'x-auth-token': await logIn(config) }),
  });
}

async function logIn(config: Config): Promise<string> {
  const account = serviceAccount(config);
  const agent = connectionsOf(account);
  try {
    return (await new KeystoneSession(account, agent).token()).id;
  } finally {
    await agent.close();
  }
}
