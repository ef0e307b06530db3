import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { systemClock } from '../../actors/clock.ts';
import type { Mailbox } from '../../actors/mailbox.ts';
import type { Config } from '../../config.ts';
import { FailoverLimiter } from '../../failover/limiter.ts';
import { postgresFailoverQueue } from '../../failover/postgres-queue.ts';
import type { Db } from '../../store/database.ts';

interface Parts {
  config: Config;
  db: Db;
  mailbox: Mailbox;
  log: Logger;
}

/** This process's part in letting failovers begin that nobody asked for; works until it is closed. */
export function openLimiter({ config, db, mailbox, log }: Parts): FailoverLimiter {
  return new FailoverLimiter(
    {
      queue: postgresFailoverQueue(db, mailbox),
      clock: systemClock,
      log,
      newId: randomUUID,
      publish: (envelopes) => mailbox.publish(...envelopes),
    },
    {
      concurrency: config.failover_concurrency,
      windowLimit: config.failover_window_limit,
      windowMs: config.failover_window_seconds * 1000,
      stopPercent: config.failover_stop_percent,
      stopMinimum: config.failover_stop_minimum,
    },
    config.sweep_seconds * 1000,
  );
}
