import { connect, type NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { natsOptions } from '../../actors/nats-url.ts';
import { TerminalError } from '../../model/errors.ts';
import { isTooOld, OLDEST_NATS } from '../nats-version.ts';

/**
 * Connect to the broker, waiting for one that is not there yet. Stays connected for the life of the process: while NATS
 * is away, the sweep carries the messages.
 * @throws TerminalError `nats_server_too_old` or `no_jetstream` for one that we cannot work with
 */
export async function connectNats(url: string, name: string, log: Logger): Promise<NatsConnection> {
  const connection = await connect({
    ...natsOptions(url),
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    waitOnFirstConnect: true,
    timeout: 10_000,
  });
  try {
    check(connection);
  } catch (error) {
    await connection.close();
    throw error;
  }
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect' || status.type === 'reconnect')
        log.warn({ nats: status.type }, 'NATS connection');
    }
  })();
  return connection;
}

function check(connection: NatsConnection): void {
  const { version = 'unknown', jetstream = false } = connection.info ?? {};
  const server = `the nats-server at ${connection.getServer()}`;
  if (isTooOld(version)) {
    throw new TerminalError(
      'nats_server_too_old',
      `${server} is version ${version}: version ${OLDEST_NATS} or newer is needed; upgrade it, or name another one in AMPHORAE_NATS_URL`,
    );
  }
  if (!jetstream) {
    throw new TerminalError(
      'no_jetstream',
      `${server} runs without JetStream, which status events need: start it with --jetstream`,
    );
  }
}
