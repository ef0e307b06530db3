import { userInfo } from 'node:os';
import type { Config } from '../config.ts';
import type { Invocation } from './command.ts';
import { RestClient } from './rest-client.ts';
import { urlOf } from './up/address.ts';

/** The REST API as an operator on this host calls it: what is changed is recorded under the name of the user. */
export function operatorClient(
  { listen }: Pick<Config, 'listen'>,
  { url }: Invocation['options'],
): RestClient {
  return new RestClient(typeof url === 'string' ? url : urlOf(listen), {
    'x-amphorae-operator': encodeURIComponent(userInfo().username),
  });
}
