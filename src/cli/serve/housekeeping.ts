import type { Logger } from 'pino';
import { sweepVipIntents } from '../../http/app.ts';
import type { Network } from '../../providers/network.ts';
import type { Db } from '../../store/database.ts';

const PERIOD_MS = 60_000;

/** Do, once a minute until the returned function is called, what nobody else comes back for. */
export function keepHouse({
  db,
  network,
  log,
}: {
  db: Db;
  network: Network;
  log: Logger;
}): () => Promise<void> {
  let running = Promise.resolve();
  const timer = setInterval(() => {
    running = running.then(async () => {
      try {
        const released = await sweepVipIntents(db, network);
        if (released > 0) log.info({ released }, 'VIP ports of requests that died were released');
      } catch (error) {
        log.warn({ err: error }, 'housekeeping failed; trying again');
      }
    });
  }, PERIOD_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}
