import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { HEARTBEAT_KEY_FILE } from '../health/heartbeat-key.ts';
import { AmphoraeError, TerminalError } from '../model/errors.ts';
import { createNetnsProvider } from '../providers/netns/provider.ts';
import { createNoopProvider } from '../providers/noop/provider.ts';
import { openDatabase } from '../store/database.ts';
import { migrate } from '../store/migrator.ts';
import type { Command } from './command.ts';
import { removeNamespaces } from './demo/remains.ts';
import { type DataDirectoryLock, holderOf, lockDataDirectory } from './up/data-directory.ts';
import { CODE_CACHE } from './up/own-command.ts';
import { recordedSettings, SETTINGS_FILE } from './up/recorded-settings.ts';
import { privatePostgres } from './up/supervisor.ts';
import { waitFor } from './up/wait.ts';

/** Draining controllers and stopping both servers takes at most this long. */
const STOP_SECONDS = 90;

/** What Amphorae writes into its data directory; anything else there is not ours to remove. */
const OUR_ENTRIES = [
  ...['postgres', 'nats', 'logs', 'controllers', 'ca', 'demo.json'],
  ...[CODE_CACHE, HEARTBEAT_KEY_FILE, SETTINGS_FILE],
];

export const command: Command = {
  description:
    'Stops `up` where it is running, then removes all it made: amphorae, networks, bridges, the database, and what it\n' +
    'wrote into --data-dir. Does nothing when there is nothing.',
  settings: ['data_dir', 'database_url'],
  async run({ config }) {
    await takeDown(config, (text) => process.stdout.write(`${text}\n`));
    return 0;
  },
};

/** Remove everything that `up` with this configuration made. Idempotent; `say` takes a line for each thing done. */
export async function takeDown(config: Config, say: (text: string) => void): Promise<void> {
  if (!existsSync(config.data_dir)) return say(`nothing to remove: there is no ${config.data_dir}`);
  const lock = await stopUp(config.data_dir, say);
  try {
    await removeNamespaces(config.data_dir);
    await removeAmphorae({ ...config, ...recordedSettings(config.data_dir) });
    for (const entry of OUR_ENTRIES) rmSync(join(config.data_dir, entry), { recursive: true, force: true });
  } finally {
    await lock.release();
  }
  if (readdirSync(config.data_dir).length === 0) rmdirSync(config.data_dir);
  say(`removed all that was made with ${config.data_dir}`);
}

/** The database knows what there is to remove; where it is the private one, it runs for that long. */
async function removeAmphorae(config: Config): Promise<void> {
  const remove = { netns: destroyAll, openstack: refuseToForget, noop: undefined }[config.provider];
  if (!remove) return;
  if (config.database_url) return remove(config, config.database_url);
  const postgres = privatePostgres(config);
  if (!postgres.exists) return;
  const server = await postgres.start();
  try {
    await remove(config, postgres.url);
  } finally {
    await postgres.stop(server);
  }
}

/**
 * Amphorae in a cloud are not on this host, and only the database knows them: it is not removed while there are some.
 * @throws TerminalError `load_balancers_left`
 */
async function refuseToForget(config: Config, url: string): Promise<void> {
  if (config.database_url) return;
  const { db, close } = openDatabase(url, { maxConnections: 1, applicationName: 'amphorae-down' });
  try {
    const left = await db
      .selectFrom('load_balancers')
      .where('provisioning_status', '<>', 'DELETED')
      .select('id')
      .execute();
    if (left.length === 0) return;
    throw new TerminalError(
      'load_balancers_left',
      `${left.length} load balancers have servers and ports in the cloud: start \`up\` again and delete them first (openstack loadbalancer delete --cascade ${left[0]?.id} ...)`,
    );
  } finally {
    await close();
  }
}

async function destroyAll(config: Config, url: string): Promise<void> {
  const { db, close } = openDatabase(url, { maxConnections: 2, applicationName: 'amphorae-down' });
  try {
    await migrate(db);
    // Nothing is asked of agents that are about to be killed, so there is no need of a client with certificates.
    const { agent } = createNoopProvider({ failures: [] });
    await createNetnsProvider({ db, config, agent }).destroyAll();
  } finally {
    await close();
  }
}

/** End a running `up` and take its place, so that nobody starts another one meanwhile. */
async function stopUp(dataDir: string, say: (text: string) => void): Promise<DataDirectoryLock> {
  const tryLock = () =>
    lockDataDirectory(dataDir).catch((error) => {
      if (error instanceof AmphoraeError && error.code === 'data_dir_in_use') return undefined;
      throw error;
    });
  const lock = await tryLock();
  if (lock) return lock;
  const pid = holderOf(dataDir);
  if (pid !== undefined) {
    say(`stopping amphorae up, process ${pid}`);
    process.kill(pid, 'SIGTERM');
  }
  return waitFor('amphorae up to end', STOP_SECONDS, tryLock);
}
