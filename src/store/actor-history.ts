import { sql } from 'kysely';
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

/** One event in the history of an actor. */
export interface HistoryEvent {
  version: number;
  at: Date;
  node: string;
  type: string;
  from: string;
  to: string;
  handled: boolean;
}

/** Events of an actor after a version, the oldest first. */
export function eventsAfter(
  db: Queryable,
  { kind, id }: ActorRef,
  version: number,
  limit: number,
): Promise<HistoryEvent[]> {
  return db
    .selectFrom('actor_events')
    .select([
      'version',
      'at',
      'node',
      'handled',
      sql<string>`event ->> 'type'`.as('type'),
      'from_state as from',
      'to_state as to',
    ])
    .where('actor_kind', '=', kind)
    .where('actor_id', '=', id)
    .where('version', '>', version)
    .orderBy('version')
    .limit(limit)
    .execute();
}

/** The event that brought an actor to a version; undefined when it is no longer kept. */
export async function eventAt(
  db: Queryable,
  actor: ActorRef,
  version: number,
): Promise<HistoryEvent | undefined> {
  const [event] = await eventsAfter(db, actor, version - 1, 1);
  return event?.version === version ? event : undefined;
}
