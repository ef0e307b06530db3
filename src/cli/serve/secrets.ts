import { join } from 'node:path';
import { type Config, programEnvironment } from '../../config.ts';
import { connectionsOf } from '../../keystone/connections.ts';
import { KeystoneSession } from '../../keystone/session.ts';
import { BarbicanStore } from '../../secrets/barbican-store.ts';
import { FileStore } from '../../secrets/file-store.ts';
import { Stores } from '../../secrets/stores.ts';
import { serviceAccount } from './service-account.ts';

/** Where TLS material is read from: files of the operator and, where the service has an account in a cloud, Barbican. */
export function openSecrets(config: Config): { secrets: Stores; close(): Promise<void> } {
  const env = programEnvironment();
  const directory = config.secrets_dir || join(config.data_dir, 'secrets');
  const files = new FileStore({ directory, env });
  if (!config.os_auth_url) return { secrets: new Stores(files, undefined), close: async () => {} };

  const account = serviceAccount(config);
  const dispatcher = connectionsOf(account);
  const session = new KeystoneSession(account, dispatcher);
  const facing = { interface: config.os_interface, region: config.os_region_name };
  const barbican = new BarbicanStore({ session, facing, dispatcher }, env);
  return { secrets: new Stores(files, barbican), close: () => dispatcher.close() };
}
