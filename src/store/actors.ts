import { type Selectable, sql } from 'kysely';
import type { ActorKind } from '../machines/address.ts';
import type { Queryable } from './database.ts';
import { columns } from './list.ts';
import type { DeadLetterTable } from './schema.ts';

export interface ActorRef {
  kind: ActorKind;
  id: string;
}

const node = sql<
  string | null
>`(select owner from partitions where id = actors.partition and lease_until > now())`;
const loadBalancerId = sql<string>`actors.input ->> 'loadBalancerId'`;

export const actorAttributes = {
  ...columns('actors', {
    id: 'uuid',
    kind: 'text',
    partition: 'integer',
    state: 'text',
    version: 'integer',
    machine_version: 'integer',
    done: 'boolean',
    created_at: 'time',
    updated_at: 'time',
    state_since: 'time',
  }),
  node: { type: 'text', expression: node },
  loadbalancer_id: { type: 'text', expression: loadBalancerId },
  quarantined: { type: 'boolean', expression: sql`(actors.quarantined is not null)` },
} as const;

/** Actors with the node that has their partition now, and how long they have been in their state by the database's clock. */
export function selectActors(db: Queryable) {
  return db
    .selectFrom('actors')
    .selectAll('actors')
    .select([
      node.as('node'),
      loadBalancerId.as('load_balancer_id'),
      sql<number>`extract(epoch from now() - actors.state_since)::float8`.as('state_seconds'),
    ])
    .$narrowType<{ kind: ActorKind }>();
}

export type Actor = Awaited<ReturnType<ReturnType<typeof selectActors>['execute']>>[number];

export const actorEventAttributes = {
  id: { type: 'integer', expression: sql.ref('actor_events.seq') },
  created_at: { type: 'time', expression: sql.ref('actor_events.at') },
  handled: { type: 'boolean', expression: sql.ref('actor_events.handled') },
  type: { type: 'text', expression: sql`actor_events.event ->> 'type'` },
} as const;

export function selectActorEvents(db: Queryable) {
  return db.selectFrom('actor_events').selectAll('actor_events').select(sql<string>`seq::text`.as('id'));
}

export type ActorEventRow = Awaited<ReturnType<ReturnType<typeof selectActorEvents>['execute']>>[number];

export const deadLetterAttributes = columns('dead_letters', {
  id: 'uuid',
  actor_kind: 'text',
  actor_id: 'uuid',
  partition: 'integer',
  created_at: 'time',
  died_at: 'time',
});

export type DeadLetter = Selectable<DeadLetterTable> & { actor_kind: ActorKind };

export function selectDeadLetters(db: Queryable) {
  return db.selectFrom('dead_letters').selectAll('dead_letters').$narrowType<{ actor_kind: ActorKind }>();
}

/** Take a dead letter away; undefined when somebody else was faster. */
export async function takeDeadLetter(db: Queryable, id: string): Promise<DeadLetter | undefined> {
  return db
    .deleteFrom('dead_letters')
    .where('id', '=', id)
    .returningAll()
    .$narrowType<{ actor_kind: ActorKind }>()
    .executeTakeFirst();
}

/** Waiting messages of an actor, the next one first. */
export async function waitingMessages(db: Queryable, { kind, id }: ActorRef, limit: number) {
  return db
    .selectFrom('messages')
    .select(['id', 'seq', 'event', 'created_at'])
    .where('actor_kind', '=', kind)
    .where('actor_id', '=', id)
    .orderBy('seq')
    .limit(limit)
    .execute();
}

export async function armedTimers(db: Queryable, { kind, id }: ActorRef) {
  return db
    .selectFrom('timers')
    .select(['name', 'due_at', 'event'])
    .where('actor_kind', '=', kind)
    .where('actor_id', '=', id)
    .orderBy('due_at')
    .execute();
}

/** Ids of the amphorae that a load balancer has now. */
export async function amphoraIdsOf(db: Queryable, id: string): Promise<string[]> {
  const rows = await db
    .selectFrom('amphorae')
    .select('id')
    .where('load_balancer_id', '=', id)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map((row) => row.id);
}

/** Let an actor go on. Returns why it was quarantined; null when it was not. */
export async function endQuarantine(db: Queryable, { kind, id }: ActorRef): Promise<string | null> {
  const actor = await db
    .selectFrom('actors')
    .select('quarantined')
    .where('kind', '=', kind)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  await db
    .updateTable('actors')
    .set({ quarantined: null })
    .where('kind', '=', kind)
    .where('id', '=', id)
    .execute();
  return actor?.quarantined ?? null;
}

export const auditAttributes = columns('actor_audit', {
  id: 'uuid',
  created_at: 'time',
  operator: 'text',
  action: 'text',
  actor_kind: 'text',
  actor_id: 'uuid',
});

export function selectAudit(db: Queryable) {
  return db.selectFrom('actor_audit').selectAll('actor_audit');
}

export type AuditEntry = Awaited<ReturnType<ReturnType<typeof selectAudit>['execute']>>[number];

/** Record what an operator did, in the transaction that does it. */
export async function recordAudit(
  db: Queryable,
  entry: { operator: string; action: string; actor: ActorRef | null; payload: object },
): Promise<void> {
  await db
    .insertInto('actor_audit')
    .values({
      operator: entry.operator,
      action: entry.action,
      actor_kind: entry.actor?.kind ?? null,
      actor_id: entry.actor?.id ?? null,
      payload: JSON.stringify(entry.payload),
    })
    .execute();
}
