import { sql } from 'kysely';
import type { Logger } from 'pino';
import type { Mailbox } from '../actors/mailbox.ts';
import type { HealthReport } from '../machines/events.ts';
import type { Db, Queryable } from '../store/database.ts';
import { sweepReports } from '../store/statistics.ts';

export interface StaleWatchParts {
  db: Db;
  mailbox: Mailbox;
  log: Logger;
}

export interface StaleWatchOptions {
  checkMs: number;
  /** An amphora that was silent for longer is stale. */
  timeoutMs: number;
}

/** Amphorae whose load balancers are told in one transaction. */
const BATCH = 100;

/** How often what was reported of removed objects is swept away. */
const SWEEP_MS = 60_000;

interface Turned {
  amphora_id: string;
  load_balancer_id: string;
  silent: boolean;
}

/**
 * Tells load balancers which of their amphorae have fallen silent, and which speak again: once each, whichever processes
 * watch. After a time in which heartbeats may not have been recorded (start, an outage of the database, a process that
 * stood still), silence proves nothing, and nobody is called stale before all had the time to speak again.
 */
export class StaleWatch {
  readonly #parts: StaleWatchParts;
  readonly #options: StaleWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #checking: Promise<void> = Promise.resolve();
  #trustedFrom: number;
  #expectedBy: number;
  #sweptAt = performance.now();

  constructor(parts: StaleWatchParts, options: StaleWatchOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#trustedFrom = performance.now() + options.timeoutMs;
    this.#expectedBy = this.#trustedFrom;
    this.#timer = setInterval(() => {
      this.#checking = this.#checking.then(() => this.#check());
    }, options.checkMs);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#checking;
  }

  async #check(): Promise<void> {
    const { db, log } = this.#parts;
    const { checkMs, timeoutMs } = this.#options;
    const now = performance.now();
    if (now > this.#expectedBy) this.#trustedFrom = now + timeoutMs;
    this.#expectedBy = now + checkMs + timeoutMs / 2;
    try {
      await expectHeartbeats(db);
      let told: number;
      do told = await this.#tell(now >= this.#trustedFrom);
      while (told === BATCH);
      if (now - this.#sweptAt < SWEEP_MS) return;
      this.#sweptAt = now;
      await sweepReports(db);
    } catch (err) {
      this.#trustedFrom = performance.now() + timeoutMs;
      log.warn({ err }, 'amphorae are not watched: trying again');
    }
  }

  /** One batch of those that turned silent, where that may be believed, or speak again. */
  async #tell(believeSilence: boolean): Promise<number> {
    const { db, mailbox, log } = this.#parts;
    const { turned, envelopes } = await db.transaction().execute(async (transaction) => {
      const turned = await turn(transaction, this.#options.timeoutMs, believeSilence);
      const envelopes = [];
      for (const { amphora_id: amphoraId, load_balancer_id: loadBalancerId, silent } of turned) {
        const report: HealthReport = { type: silent ? 'AMPHORA_STALE' : 'AMPHORA_ALIVE', amphoraId };
        const address = { kind: 'load-balancer', id: loadBalancerId, loadBalancerId } as const;
        envelopes.push(await mailbox.send(transaction, address, report));
      }
      return { turned, envelopes };
    });
    mailbox.publish(...envelopes);
    for (const { amphora_id, load_balancer_id: loadbalancer_id, silent } of turned) {
      log.warn(
        { amphora_id, loadbalancer_id },
        silent ? 'an amphora has fallen silent' : 'an amphora speaks again',
      );
    }
    return turned.length;
  }
}

/** From now on an amphora in service is expected to speak, even one that never did. */
async function expectHeartbeats(db: Db): Promise<void> {
  await sql`INSERT INTO amphora_health (amphora_id, last_update)
    SELECT id, now() FROM amphorae WHERE status = 'ALLOCATED' AND NOT EXISTS
      (SELECT FROM amphora_health WHERE amphora_id = id) ORDER BY id
    ON CONFLICT DO NOTHING`.execute(db);
}

/** Those in service, and those that a pair goes on without: they are replaced like others, and are heard of again. */
async function turn(transaction: Queryable, timeoutMs: number, believeSilence: boolean): Promise<Turned[]> {
  // Who locks a row is recording its heartbeat, or watching as we do.
  const { rows } = await sql<Turned>`
    WITH turning AS (
      SELECT health.amphora_id, amphora.load_balancer_id, NOT health.stale AS silent
      FROM amphora_health health JOIN amphorae amphora ON amphora.id = health.amphora_id
        JOIN load_balancers lb ON lb.id = amphora.load_balancer_id
      WHERE (amphora.status IN ('ALLOCATED', 'FAILOVER_STOPPED')
          OR amphora.status = 'ERROR' AND lb.provisioning_status IN ('ACTIVE', 'PENDING_UPDATE'))
        AND stale <> (last_update < now() - ${timeoutMs} * interval '1 millisecond')
        AND (stale OR ${believeSilence})
      ORDER BY health.amphora_id LIMIT ${BATCH} FOR UPDATE OF health SKIP LOCKED)
    UPDATE amphora_health health SET stale = turning.silent FROM turning
    WHERE health.amphora_id = turning.amphora_id
    RETURNING turning.*`.execute(transaction);
  return rows;
}
