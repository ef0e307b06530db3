import { type Migration, Migrator } from 'kysely/migration';
import * as initial from '../../migrations/0001-initial.ts';
import * as statusEvents from '../../migrations/0002-status-events.ts';
import * as actorAudit from '../../migrations/0003-actor-audit.ts';
import * as runtimeKeeping from '../../migrations/0004-runtime-keeping.ts';
import * as health from '../../migrations/0005-health.ts';
import * as octaviaResources from '../../migrations/0006-octavia-resources.ts';
import * as listOrder from '../../migrations/0007-list-order.ts';
import * as idempotency from '../../migrations/0008-idempotency.ts';
import * as stateSince from '../../migrations/0009-state-since.ts';
import * as failoverStopped from '../../migrations/0011-failover-stopped.ts';
import * as statusDomains from '../../migrations/0012-status-domains.ts';
import type { Db } from './database.ts';

/** Every migration, in order. Once shipped, an entry never changes. */
const migrations: Record<string, Migration> = {
  '0001-initial': initial,
  '0002-status-events': statusEvents,
  '0003-actor-audit': actorAudit,
  '0004-runtime-keeping': runtimeKeeping,
  '0005-health': health,
  '0006-octavia-resources': octaviaResources,
  '0007-list-order': listOrder,
  '0008-idempotency': idempotency,
  '0009-state-since': stateSince,
  '0011-failover-stopped': failoverStopped,
  '0012-status-domains': statusDomains,
};

/** Bring the schema up to date; concurrent callers wait for each other. Returns the names that were applied. */
export async function migrate(db: Db): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error, results } = await migrator.migrateToLatest();
  if (error) throw error;
  return (results ?? [])
    .filter((result) => result.status === 'Success')
    .map((result) => result.migrationName);
}
