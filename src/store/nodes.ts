import { sql } from 'kysely';
import type { Queryable } from './database.ts';

/** A process that runs actors, or ran some and was not ended in order. */
export interface NodeRow {
  id: string;
  /** It is to hold no partition. */
  draining: boolean;
  seen_at: Date;
  /** It has renewed its leases within the life of one. */
  live: boolean;
  /** How many partitions it holds. */
  partitions: number;
}

/** All nodes, by name. @param leaseMs the life of a lease */
export function listNodes(db: Queryable, leaseMs: number): Promise<NodeRow[]> {
  return selectNodes(db, leaseMs).execute();
}

/** All nodes, locked until the transaction ends, so that two of them are not drained each counting on the other. */
export function lockNodes(transaction: Queryable, leaseMs: number): Promise<NodeRow[]> {
  return selectNodes(transaction, leaseMs).forUpdate().execute();
}

/** Have a node hold no partition from its next look at its leases on, or its share again. */
export async function setDraining(transaction: Queryable, id: string, draining: boolean): Promise<void> {
  await transaction.updateTable('nodes').set({ draining }).where('id', '=', id).execute();
}

function selectNodes(db: Queryable, leaseMs: number) {
  const lease = sql`${leaseMs} * interval '1 millisecond'`;
  return db
    .selectFrom('nodes')
    .select([
      'id',
      'draining',
      'seen_at',
      sql<boolean>`seen_at between now() - ${lease} and now() + ${lease}`.as('live'),
      sql<number>`(select count(*)::integer from partitions where owner = nodes.id and lease_until > now())`.as(
        'partitions',
      ),
    ])
    .orderBy('id');
}

/** How many partitions nobody holds: what becomes of their load balancers waits. */
export async function countFreePartitions(db: Queryable): Promise<number> {
  const { free } = await db
    .selectFrom('partitions')
    .select(sql<number>`count(*)::integer`.as('free'))
    .where((where) => where.or([where('owner', 'is', null), where('lease_until', '<=', sql<Date>`now()`)]))
    .executeTakeFirstOrThrow();
  return free;
}
