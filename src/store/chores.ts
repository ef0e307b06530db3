import { type RawBuilder, sql } from 'kysely';
import type { ActorKind } from '../machines/address.ts';
import type { Db } from './database.ts';

/** How many rows one statement removes: few enough to hold nobody up. */
const BATCH = 1_000;
/** What is left after so many is for the next time. */
const BATCHES = 100;

/**
 * Whether the caller is to do a chore now: nobody else has begun it within the period. One that is due much later than that
 * was claimed before the database's clock was set back.
 */
export async function claimChore(db: Db, name: string, periodMs: number): Promise<boolean> {
  const period = sql`${periodMs} * interval '1 millisecond'`;
  const { rows } = await sql`
    INSERT INTO chores (name, due_at) VALUES (${name}, now() + ${period})
    ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at
      WHERE chores.due_at <= now() OR chores.due_at > excluded.due_at + ${period}
    RETURNING name`.execute(db);
  return rows.length === 1;
}

/** Have a chore done at the next look, before its period is over. */
export async function hastenChore(db: Db, name: string): Promise<void> {
  await db.updateTable('chores').set({ due_at: sql`now()` }).where('name', '=', name).execute();
}

/** Which of these actors ended longer ago than `graceMs`. */
export async function endedActors(
  db: Db,
  { kind, ids, graceMs }: { kind: ActorKind; ids: string[]; graceMs: number },
): Promise<Set<string>> {
  const rows = await db
    .selectFrom('actors')
    .select('id')
    .where('kind', '=', kind)
    .where('id', 'in', ids)
    .where('done', '=', true)
    .where('updated_at', '<', sql<Date>`now() - ${graceMs} * interval '1 millisecond'`)
    .execute();
  return new Set(rows.map(({ id }) => id));
}

/** How long what is over is kept, in milliseconds. */
export interface Retention {
  history: number;
  deadLetters: number;
  audit: number;
  deleted: number;
}

/**
 * Remove what is older than it needs to be: history, nodes that have died, dead letters, audit, load balancers that are DELETED, and actors that
 * have ended. In batches, the oldest first.
 * @returns how many rows of each table were removed
 */
export async function prune(db: Db, keep: Retention): Promise<Record<string, number>> {
  const before = (ms: number) => sql`now() - ${ms} * interval '1 millisecond'`;
  // The key grows with time: looking at the oldest few needs no index on the time.
  const history = sql`
    DELETE FROM actor_events WHERE seq IN (
      SELECT seq FROM (SELECT seq, at FROM actor_events ORDER BY seq LIMIT ${BATCH}) oldest
      WHERE at < ${before(keep.history)})`;
  const failovers = sql`
    DELETE FROM automatic_failovers WHERE id IN (
      SELECT id FROM automatic_failovers
      WHERE ended_at IS NOT NULL AND admitted_at < ${before(keep.history)} ORDER BY admitted_at LIMIT ${BATCH})`;
  // Who ends in order has no row any more; these have died, and none has come back under their name.
  const nodes = sql`DELETE FROM nodes WHERE seen_at < ${before(keep.history)}`;
  const deadLetters = sql`
    DELETE FROM dead_letters WHERE id IN (
      SELECT id FROM dead_letters WHERE died_at < ${before(keep.deadLetters)} LIMIT ${BATCH})`;
  const audit = sql`
    DELETE FROM actor_audit WHERE id IN (
      SELECT id FROM actor_audit WHERE created_at < ${before(keep.audit)} ORDER BY created_at LIMIT ${BATCH})`;
  const loadBalancers = sql`
    DELETE FROM load_balancers WHERE id IN (
      SELECT id FROM load_balancers
      WHERE provisioning_status = 'DELETED' AND coalesce(updated_at, created_at) < ${before(keep.deleted)}
      ORDER BY created_at LIMIT ${BATCH})`;
  const actors = sql`
    DELETE FROM actors WHERE (kind, id) IN (
      SELECT kind, id FROM actors WHERE done AND updated_at < ${before(keep.deleted)}
      ORDER BY created_at LIMIT ${BATCH})`;
  return {
    actor_events: await inBatches(db, history),
    automatic_failovers: await inBatches(db, failovers),
    nodes: await inBatches(db, nodes),
    dead_letters: await inBatches(db, deadLetters),
    actor_audit: await inBatches(db, audit),
    load_balancers: await inBatches(db, loadBalancers),
    actors: await inBatches(db, actors),
  };
}

async function inBatches(db: Db, statement: RawBuilder<unknown>): Promise<number> {
  let removed = 0;
  for (let batch = 1; batch <= BATCHES; batch += 1) {
    const { numAffectedRows = 0n } = await statement.execute(db);
    removed += Number(numAffectedRows);
    if (numAffectedRows < BATCH) break;
  }
  return removed;
}
