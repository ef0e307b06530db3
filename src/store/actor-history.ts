import type { ActorRef } from './actors.ts';
import type { Queryable } from './database.ts';

/** The newest events of an actor that are kept, the oldest of them first. */
export async function newestEvents(db: Queryable, { kind, id }: ActorRef, limit: number) {
  const rows = await db
    .selectFrom('actor_events')
    .select(['version', 'at', 'node', 'event', 'from_state', 'to_state', 'actions', 'handled'])
    .where('actor_kind', '=', kind)
    .where('actor_id', '=', id)
    .orderBy('version', 'desc')
    .limit(limit)
    .execute();
  return rows.reverse();
}

export type StoredEvent = Awaited<ReturnType<typeof newestEvents>>[number];
