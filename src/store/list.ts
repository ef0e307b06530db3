import { type RawBuilder, type SelectQueryBuilder, sql } from 'kysely';
import type { Database } from './schema.ts';

/** A column, or an expression, that lists can be filtered and sorted by. */
export interface Attribute {
  type: 'text' | 'integer' | 'number' | 'boolean' | 'uuid' | 'time' | 'tags';
  expression: RawBuilder<unknown>;
}

/** Attributes that are columns: `columns('listeners', { protocol_port: 'integer', ... })`. */
export function columns<T extends keyof Database, K extends keyof Database[T] & string>(
  table: T,
  types: Record<K, Attribute['type']>,
): Record<K, Attribute> {
  const entries = Object.entries<Attribute['type']>(types);
  return Object.fromEntries(
    entries.map(([name, type]) => [name, { type, expression: sql.ref(`${table}.${name}`) }]),
  ) as Record<K, Attribute>;
}

/** Types of the attributes that every object below (and including) a load balancer has. */
export const provisionedColumns = {
  id: 'uuid',
  name: 'text',
  project_id: 'text',
  admin_state_up: 'boolean',
  provisioning_status: 'text',
  operating_status: 'text',
  created_at: 'time',
  updated_at: 'time',
  tags: 'tags',
} as const;

export interface SortKey {
  key: string;
  direction: 'asc' | 'desc';
}

export interface TagFilter {
  mode: 'all' | 'any' | 'not-all' | 'none';
  tags: string[];
}

export interface ListRequest {
  /** Undefined: everything. */
  limit: number | undefined;
  /** Value of the tie-break attribute of the object next to the page. */
  marker?: string;
  /** The page that ends before the marker instead of the one that starts after it. */
  reverse: boolean;
  sort: SortKey[];
  filters: { key: string; value: string }[];
  tags: TagFilter[];
}

/** The marker names no object. */
export class UnknownMarkerError extends Error {}

/**
 * One page of a query, in the order of the request and then of `tieBreak`, the last of which is unique and what
 * markers are values of. One statement, one more with a marker.
 * @throws UnknownMarkerError
 */
export async function listPage<T extends keyof Database, Row>(
  query: SelectQueryBuilder<Database, T, Row>,
  attributes: Record<string, Attribute>,
  tieBreak: string[],
  request: ListRequest,
): Promise<Row[]> {
  const order = [...request.sort, ...tieBreak.map((key): SortKey => ({ key, direction: 'asc' }))].map(
    ({ key, direction }) => ({
      expression: attributeOf(attributes, key).expression,
      ascending: (direction === 'asc') !== request.reverse,
    }),
  );

  let page = query;
  for (const { key, value } of request.filters)
    page = page.where(equals(attributeOf(attributes, key), value));
  for (const filter of request.tags)
    page = page.where(tagged(attributeOf(attributes, 'tags').expression, filter));
  if (request.marker !== undefined) {
    const identity = attributeOf(attributes, tieBreak.at(-1) ?? 'id');
    // As text: a Date would lose the microseconds that the comparison needs.
    const found = await query
      .clearSelect()
      .select(
        sql<
          (string | null)[]
        >`array[${sql.join(order.map(({ expression }) => sql`${expression}::text`))}]`.as('position'),
      )
      .where(equals(identity, request.marker))
      .executeTakeFirst();
    if (found === undefined) throw new UnknownMarkerError(request.marker);
    page = page.where(after(order, found.position, request.sort.length));
  }
  for (const { expression, ascending } of order) {
    page = page.orderBy(expression, (direction) =>
      ascending ? direction.asc().nullsLast() : direction.desc().nullsFirst(),
    );
  }
  const rows = await (request.limit === undefined ? page : page.limit(request.limit)).execute();
  return request.reverse ? rows.reverse() : rows;
}

function attributeOf(attributes: Record<string, Attribute>, key: string): Attribute {
  const attribute = attributes[key];
  if (attribute === undefined) throw new Error(`no attribute ${key}`);
  return attribute;
}

const NOTHING = sql<boolean>`false`;

/** Exact match. A value that the type cannot hold equals nothing; PostgreSQL would refuse the statement. */
export function equals({ type, expression }: Attribute, value: string): RawBuilder<boolean> {
  switch (type) {
    case 'tags':
      return NOTHING;
    case 'text':
      return value.includes('\0') ? NOTHING : sql`${expression} = ${value}`;
    case 'time':
      return sql`to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') = ${value}`;
    case 'uuid':
      return isUuid(value) ? sql`${expression} = ${value}::uuid` : NOTHING;
    case 'integer':
      return /^-?\d{1,15}$/.test(value) ? sql`${expression}::bigint = ${value}::bigint` : NOTHING;
    case 'number':
      return /^\d{1,9}(\.\d{1,9})?$/.test(value) ? sql`${expression}::numeric = ${value}::numeric` : NOTHING;
    case 'boolean':
      return /^(true|false)$/i.test(value) ? sql`${expression} = ${value.toLowerCase() === 'true'}` : NOTHING;
  }
}

/** For `column = ...`: one of these uuids, however many there are, in one parameter. */
export const anyOf = (ids: string[]) => sql<string>`any(${ids}::uuid[])`;

/** Whether an identity is one of these, all of which its type can hold. */
export function isOneOf({ type, expression }: Attribute, values: string[]): RawBuilder<boolean> {
  return sql`${expression} = any(${values}::${sql.raw(type)}[])`;
}

/**
 * Rows strictly beyond a position. Null counts as greater than every value, as in the order.
 * @param nullable how many of the first keys may be null; the others have one direction, and an index can find their place
 */
function after(
  order: { expression: RawBuilder<unknown>; ascending: boolean }[],
  position: (string | null)[],
  nullable: number,
): RawBuilder<boolean> {
  const [first, ...rest] = order;
  if (first === undefined) return NOTHING;
  if (nullable === 0) {
    const keys = sql.join(order.map(({ expression }) => expression));
    const comparison = first.ascending ? sql`>` : sql`<`;
    return sql`(${keys}) ${comparison} (${sql.join(position)})`;
  }
  const { expression, ascending } = first;
  const value = position[0] ?? null;
  const beyond = ascending
    ? value === null
      ? NOTHING
      : sql<boolean>`(${expression} > ${value} or ${expression} is null)`
    : value === null
      ? sql<boolean>`${expression} is not null`
      : sql<boolean>`${expression} < ${value}`;
  const same = value === null ? sql`${expression} is null` : sql`${expression} = ${value}`;
  return sql`(${beyond} or (${same} and ${after(rest, position.slice(1), nullable - 1)}))`;
}

function tagged(column: RawBuilder<unknown>, { mode, tags }: TagFilter): RawBuilder<boolean> {
  const wanted = sql`${tags}::text[]`;
  switch (mode) {
    case 'all':
      return sql`${column} @> ${wanted}`;
    case 'any':
      return sql`${column} && ${wanted}`;
    case 'not-all':
      return sql`not ${column} @> ${wanted}`;
    case 'none':
      return sql`not ${column} && ${wanted}`;
  }
}

/** Whether PostgreSQL would read the text as a uuid of the usual form. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
