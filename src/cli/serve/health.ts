import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import type { Mailbox } from '../../actors/mailbox.ts';
import type { Config } from '../../config.ts';
import type { HeartbeatSettings } from '../../effects/dependencies.ts';
import { openHeartbeatKey } from '../../health/heartbeat-key.ts';
import { HeartbeatReceiver } from '../../health/receiver.ts';
import { StaleWatch } from '../../health/stale-watch.ts';
import { TerminalError } from '../../model/errors.ts';
import type { Provider } from '../../providers/provider.ts';
import { endedActors, hastenChore } from '../../store/chores.ts';
import type { Db } from '../../store/database.ts';
import { ORPHANS } from './housekeeping.ts';

interface Parts {
  config: Config;
  db: Db;
  provider: Provider;
  mailbox: Mailbox;
  announce: () => void;
  log: Logger;
}

/** Health monitoring of a controller process. */
export interface Health {
  /** What amphorae are told when they are made. */
  settings: HeartbeatSettings;
  close(): Promise<void>;
}

/**
 * Where an amphora has ended and is heard all the same, its server runs on: what has no owner is looked for at once (contract
 * C7).
 */
export async function endStrays(
  db: Db,
  ids: string[],
  { orphan_grace_seconds }: Pick<Config, 'orphan_grace_seconds'>,
): Promise<void> {
  const ended = await endedActors(db, { kind: 'amphora', ids, graceMs: orphan_grace_seconds * 1_000 });
  if (ended.size > 0) await hastenChore(db, ORPHANS);
}

/**
 * Hear the amphorae and watch for silent ones. undefined where amphorae have no way to reach this process, so that they
 * are not to be called silent.
 * @throws TerminalError `heartbeat_address`
 */
export async function monitorHealth({
  config,
  db,
  provider,
  mailbox,
  announce,
  log,
}: Parts): Promise<Health | undefined> {
  const address = config.heartbeat_address || (await provider.managementAddress?.());
  if (address === undefined) return undefined;
  const key = config.heartbeat_key || openHeartbeatKey(config.data_dir);
  const intervalMs = config.heartbeat_interval_seconds * 1000;
  const receiver = await HeartbeatReceiver.open(
    { db, key, announce, log, stray: (amphorae) => endStrays(db, amphorae, config) },
    { address, port: config.heartbeat_port, intervalMs },
  ).catch((cause: Error) => {
    throw new TerminalError(
      'heartbeat_address',
      `cannot hear amphorae at ${address} port ${config.heartbeat_port}, see heartbeat_address and heartbeat_port: ${cause.message}`,
      { cause },
    );
  });
  const watch = new StaleWatch(
    { db, mailbox, log },
    { checkMs: config.heartbeat_check_seconds * 1000, timeoutMs: config.heartbeat_timeout_seconds * 1000 },
  );
  const own = `${isIPv6(address) ? `[${address}]` : address}:${receiver.port}`;
  return {
    settings: {
      controllers: config.heartbeat_controllers.length > 0 ? config.heartbeat_controllers : [own],
      key,
      interval_seconds: config.heartbeat_interval_seconds,
    },
    async close() {
      await watch.close();
      await receiver.close();
    },
  };
}
