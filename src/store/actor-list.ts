import { type RawBuilder, sql } from 'kysely';
import type { ActorKind } from '../machines/address.ts';
import type { ErrorRecord } from '../model/errors.ts';
import type { ActorRef } from './actors.ts';
import type { Queryable } from './database.ts';

/** What a list of actors is narrowed to; what is absent does not matter. Those that have ended are in no list. */
export interface ActorFilter {
  kind?: ActorKind | undefined;
  states?: readonly string[] | undefined;
  partitions?: readonly number[] | undefined;
  /** Seconds in the state, at least. */
  age?: number | undefined;
  quarantined?: true | undefined;
}

/** Where a page begins: after the actor with this `state_since` (ISO 8601 in microseconds) and id. */
export interface ListPosition {
  since: string;
  id: string;
}

/** An actor as lists show it. */
export interface ListedActor extends ActorRef {
  loadBalancerId: string;
  /** Of its load balancer; null when that is gone. */
  name: string | null;
  partition: number;
  /** Who has the partition now, if anybody. */
  node: string | null;
  state: string;
  /** ISO 8601 in microseconds, by the database's clock. */
  since: string;
  ageSeconds: number;
  version: number;
  done: boolean;
  quarantined: string | null;
  /** What went wrong, as the actor remembers it. */
  error: ErrorRecord | null;
}

const iso = (time: RawBuilder<unknown>) =>
  sql<string>`to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

function select(db: Queryable) {
  return db
    .selectFrom('actors')
    .leftJoin('load_balancers', (join) =>
      join.on(sql`load_balancers.id`, '=', sql`(actors.input ->> 'loadBalancerId')::uuid`),
    )
    .leftJoin('partitions', (join) =>
      join
        .onRef('partitions.id', '=', 'actors.partition')
        .on('partitions.lease_until', '>', sql<Date>`now()`),
    )
    .select([
      'actors.kind',
      'actors.id',
      'actors.partition',
      'actors.state',
      'actors.version',
      'actors.done',
      'actors.quarantined',
      'load_balancers.name',
      'partitions.owner as node',
      sql<string>`actors.input ->> 'loadBalancerId'`.as('loadBalancerId'),
      iso(sql`state_since`).as('since'),
      sql<number>`extract(epoch from now() - state_since)::float8`.as('ageSeconds'),
      sql<ErrorRecord | null>`coalesce(nullif(snapshot #> '{context,error}', 'null'),
        nullif(snapshot #> '{context,failure,error}', 'null'))`.as('error'),
    ])
    .$narrowType<{ kind: ActorKind }>();
}

/** One page, those that changed their state last first. */
export function listActors(
  db: Queryable,
  filter: ActorFilter,
  after: ListPosition | undefined,
  limit: number,
): Promise<ListedActor[]> {
  const { kind, states, partitions, age, quarantined } = filter;
  let query = select(db).where('actors.done', '=', false);
  if (kind !== undefined) query = query.where('actors.kind', '=', kind);
  if (states !== undefined) query = query.where(sql`actors.state`, '=', sql`any (${states}::text[])`);
  if (partitions !== undefined)
    query = query.where(sql`actors.partition`, '=', sql`any (${partitions}::integer[])`);
  if (age !== undefined)
    query = query.where('actors.state_since', '<=', sql<Date>`now() - ${age} * interval '1 second'`);
  if (quarantined) query = query.where('actors.quarantined', 'is not', null);
  if (after !== undefined)
    query = query.where(
      sql<boolean>`(state_since, actors.id) < (${after.since}::timestamptz, ${after.id}::uuid)`,
    );
  return query.orderBy('actors.state_since', 'desc').orderBy('actors.id', 'desc').limit(limit).execute();
}

/** These actors as they are now, those that have ended too. */
export function listedActors(db: Queryable, actors: ActorRef[]): Promise<ListedActor[]> {
  const kinds = actors.map(({ kind }) => kind);
  const ids = actors.map(({ id }) => id);
  return select(db)
    .where(sql<boolean>`(actors.kind, actors.id) in (select * from unnest(${kinds}::text[], ${ids}::uuid[]))`)
    .execute();
}

/** At most `limit` actors whose state has changed since a time of the database's clock, the first changes first. */
export async function changedActors(db: Queryable, since: string, limit: number): Promise<ActorRef[]> {
  return db
    .selectFrom('actors')
    .select(['kind', 'id'])
    .$narrowType<{ kind: ActorKind }>()
    .where('state_since', '>=', sql<Date>`${since}::timestamptz`)
    .orderBy('state_since')
    .orderBy('id')
    .limit(limit)
    .execute();
}

export interface StateCount {
  kind: ActorKind;
  state: string;
  count: number;
}

/** How many actors are in each state, but for those that have ended; and how many are quarantined. */
export async function countActors(db: Queryable): Promise<{ states: StateCount[]; quarantined: number }> {
  const [states, { quarantined }] = await Promise.all([
    db
      .selectFrom('actors')
      .select(['kind', 'state', sql<number>`count(*)::integer`.as('count')])
      .where('done', '=', false)
      .groupBy(['kind', 'state'])
      .orderBy('kind')
      .orderBy('state')
      .$narrowType<{ kind: ActorKind }>()
      .execute(),
    db
      .selectFrom('actors')
      .select(sql<number>`count(*)::integer`.as('quarantined'))
      .where('quarantined', 'is not', null)
      .executeTakeFirstOrThrow(),
  ]);
  return { states, quarantined };
}

/** The database's clock, as lists have times. */
export async function databaseTime(db: Queryable): Promise<string> {
  const { time } = await db.selectNoFrom(iso(sql`now()`).as('time')).executeTakeFirstOrThrow();
  return time;
}

/** Names of the nodes that hold partitions now, with these. */
export async function partitionOwners(db: Queryable): Promise<Map<string, number[]>> {
  const rows = await db
    .selectFrom('partitions')
    .select([sql<string>`owner`.as('owner'), sql<number[]>`array_agg(id order by id)`.as('partitions')])
    .where('owner', 'is not', null)
    .where('lease_until', '>', sql<Date>`now()`)
    .groupBy('owner')
    .orderBy('owner')
    .execute();
  return new Map(rows.map(({ owner, partitions }) => [owner, partitions]));
}
