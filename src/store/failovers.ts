import { type Selectable, sql } from 'kysely';
import type { AmphoraRole, Topology } from '../model/status.ts';
import type { Queryable } from './database.ts';
import type { FailoverLimiterTable } from './schema.ts';

export type FailoverLimiterRow = Selectable<FailoverLimiterTable>;

/** Under this name the limiter acts by itself. */
export const LIMITER = 'failover limiter';

/** The limiter, locked until the transaction ends; undefined when there is nothing to decide, or somebody else has it. */
export function lockLimiter(transaction: Queryable): Promise<FailoverLimiterRow | undefined> {
  return transaction
    .selectFrom('failover_limiter')
    .selectAll()
    .where((where) =>
      where.or([
        where('state', '<>', 'admitting'),
        where.exists(
          where.selectFrom('amphorae').select('amphorae.id').where('amphorae.stale_since', 'is not', null),
        ),
      ]),
    )
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
}

export function findLimiter(db: Queryable): Promise<FailoverLimiterRow> {
  return db.selectFrom('failover_limiter').selectAll().executeTakeFirstOrThrow();
}

export async function turnLimiter(
  db: Queryable,
  { state, reason, by }: { state: FailoverLimiterRow['state']; reason: string; by: string },
): Promise<void> {
  await db
    .updateTable('failover_limiter')
    .set({ state, reason, changed_by: by, changed_at: sql`now()` })
    .execute();
}

/** What is stale, and what the limiter has let begin. */
export async function countFailovers(db: Queryable, windowMs: number) {
  const since = sql`now() - ${windowMs} * interval '1 millisecond'`;
  // A quarantined load balancer waits for an operator, and others must not wait for it.
  const { rows } = await sql<{ amphorae: number; stale: number; running: number; recent: number }>`
    SELECT (SELECT count(*)::int FROM amphorae WHERE status IN ('ALLOCATED', 'FAILOVER_STOPPED', 'ERROR')) AS amphorae,
      (SELECT count(*)::int FROM amphorae WHERE stale_since IS NOT NULL) AS stale,
      (SELECT count(*)::int FROM automatic_failovers WHERE ended_at IS NULL AND load_balancer_id NOT IN (
        SELECT id FROM actors WHERE quarantined IS NOT NULL)) AS running,
      (SELECT count(*)::int FROM automatic_failovers WHERE admitted_at > ${since}) AS recent`.execute(db);
  return rows[0] as { amphorae: number; stale: number; running: number; recent: number };
}

export interface WaitingLoadBalancer {
  id: string;
  topology: Topology;
  status: 'ACTIVE' | 'ERROR';
  amphorae: { id: string; role: AmphoraRole; stale: boolean }[];
}

/**
 * Load balancers with stale amphorae that take a failover, the longest stale first; locked until the transaction ends. One
 * whose last automatic failover began within `windowMs` waits: it may fail again and again, and be in the others' way.
 */
export async function lockWaiting(
  transaction: Queryable,
  { limit, windowMs }: { limit: number; windowMs: number },
): Promise<WaitingLoadBalancer[]> {
  const { rows } = await sql<WaitingLoadBalancer>`
    SELECT lb.id, lb.topology, lb.provisioning_status AS status,
      (SELECT jsonb_agg(jsonb_build_object('id', a.id, 'role', a.role, 'stale', a.stale_since IS NOT NULL)
         ORDER BY a.created_at, a.id)
       FROM amphorae a WHERE a.load_balancer_id = lb.id AND a.status <> 'DELETED') AS amphorae
    FROM load_balancers lb
    WHERE lb.id IN (SELECT load_balancer_id FROM amphorae WHERE stale_since IS NOT NULL)
      AND lb.provisioning_status IN ('ACTIVE', 'ERROR')
      AND lb.id NOT IN (SELECT id FROM actors WHERE quarantined IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM automatic_failovers f WHERE f.load_balancer_id = lb.id
        AND (f.ended_at IS NULL OR f.admitted_at > now() - ${windowMs} * interval '1 millisecond'))
    ORDER BY (SELECT min(stale_since) FROM amphorae WHERE load_balancer_id = lb.id)
    LIMIT ${limit} FOR UPDATE OF lb SKIP LOCKED`.execute(transaction);
  return rows;
}

/** How many amphorae are told in one round that failovers are stopped. */
const TOLD = 500;

/**
 * Stale amphorae that do not show yet that failovers are stopped, the longest stale first; but none of a load balancer that
 * has messages to process, which may be just that.
 */
export async function listUntold(
  transaction: Queryable,
): Promise<{ amphoraId: string; loadBalancerId: string }[]> {
  return transaction
    .selectFrom('amphorae')
    .select(['id as amphoraId', 'load_balancer_id as loadBalancerId'])
    .where('stale_since', 'is not', null)
    .where('status', '=', 'ALLOCATED')
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('messages')
            .select('messages.id')
            .where('actor_kind', '=', 'load-balancer')
            .whereRef('actor_id', '=', 'amphorae.load_balancer_id'),
        ),
      ),
    )
    .orderBy('stale_since')
    .limit(TOLD)
    .execute();
}

/** Note that an automatic failover begins; the load balancer's own commit ends it. */
export async function insertFailover(transaction: Queryable, loadBalancerId: string): Promise<void> {
  await transaction.insertInto('automatic_failovers').values({ load_balancer_id: loadBalancerId }).execute();
}
