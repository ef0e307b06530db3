import type { Logger } from 'pino';
import type { Config } from '../../config.ts';
import { removeOrphans } from '../../effects/orphans.ts';
import { sweepVipIntents } from '../../http/app.ts';
import type { Provider } from '../../providers/provider.ts';
import { claimChore, endedActors, prune, type Retention } from '../../store/chores.ts';
import type { Db } from '../../store/database.ts';
import { pruneRequests } from '../../store/idempotency-keys.ts';

export interface HouseholdParts {
  db: Db;
  provider: Pick<Provider, 'compute' | 'network' | 'securityGroups'>;
  config: Config;
  log: Logger;
}

interface Chore {
  name: string;
  periodMs: number;
  run(): Promise<void>;
}

/** The chore that removes servers and ports without an owner. */
export const ORPHANS = 'orphans';

/** How often is looked whether a chore is due. */
const LOOK_MS = 10_000;

/** All calls of one look at a provider. */
const PROVIDER_DEADLINE_MS = 300_000;

/**
 * Do what nobody else comes back for, until the returned function is called. Any number of processes may keep house: each
 * chore is done by the one that finds it due first.
 */
export function keepHouse(parts: HouseholdParts): () => Promise<void> {
  const { db, log } = parts;
  const closed = new AbortController();
  const chores = choresOf(parts, closed.signal);
  let running = Promise.resolve();
  const work = async ({ name, periodMs, run }: Chore) => {
    try {
      if (!closed.signal.aborted && (await claimChore(db, name, periodMs))) await run();
    } catch (error) {
      if (!closed.signal.aborted) log.warn({ err: error, chore: name }, 'housekeeping failed; trying again');
    }
  };
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    running = (async () => {
      for (const chore of chores) await work(chore);
      looking = false;
    })();
  }, LOOK_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    closed.abort();
    await running;
  };
}

function choresOf({ db, provider, config, log }: HouseholdParts, closed: AbortSignal): Chore[] {
  const { compute, network, securityGroups } = provider;
  return [
    {
      name: 'vip-intents',
      periodMs: 60_000,
      async run() {
        const released = await sweepVipIntents(db, network);
        if (released > 0) log.info({ released }, 'VIP ports of requests that died were released');
      },
    },
    {
      name: ORPHANS,
      periodMs: config.orphan_period_seconds * 1000,
      async run() {
        const graceMs = config.orphan_grace_seconds * 1000;
        const signal = AbortSignal.any([closed, AbortSignal.timeout(PROVIDER_DEADLINE_MS)]);
        const ended: Parameters<typeof removeOrphans>[0]['ended'] = (kind, ids) =>
          endedActors(db, { kind, ids, graceMs });
        const removed = await removeOrphans({ compute, network, securityGroups, ended }, { signal });
        if (removed.length > 0) log.warn({ removed }, 'what had no owner was removed from the provider');
      },
    },
    {
      name: 'prune',
      periodMs: 60_000,
      async run() {
        const removed = {
          ...(await prune(db, retentionOf(config))),
          idempotencyKeys: await pruneRequests(db, config.idempotency_hours * 3_600_000),
        };
        if (Object.values(removed).some((count) => count > 0)) log.info(removed, 'what is over was removed');
      },
    },
  ];
}

function retentionOf(config: Config): Retention {
  const hour = 3_600_000;
  return {
    history: config.actor_history_hours * hour,
    deadLetters: config.dead_letter_hours * hour,
    audit: config.audit_hours * hour,
    deleted: config.deleted_hours * hour,
  };
}
