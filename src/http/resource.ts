import type { Context } from 'hono';
import type { SelectQueryBuilder } from 'kysely';
import type * as z from 'zod';
import type { Db, Queryable } from '../store/database.ts';
import { type Attribute, equals, isOneOf, isUuid, listPage, UnknownMarkerError } from '../store/list.ts';
import type { Database } from '../store/schema.ts';
import { type Lookup, sharedLookup } from '../store/shared-lookup.ts';
import { badRequest, notFound, type ResourceName } from './fault.ts';
import { pageLinks, parseListQuery, selectFields } from './list.ts';

/** One kind of object of the API: where its rows are and how they look to a client. */
export interface Resource<T extends keyof Database, Row extends { id: string }> {
  title: ResourceName;
  /** Root key of one object and of a list. */
  root: string;
  plural: string;
  /** `<plural>_links`, except where Octavia writes it in the singular. */
  linksKey?: string;
  select(db: Queryable): SelectQueryBuilder<Database, T, Row>;
  attributes: Record<string, Attribute> & { id: Attribute };
  present(row: Row): Record<string, unknown>;
}

/** A kind of object of Octavia's API, with what describes it to clients and to policies. */
export interface OctaviaResource<T extends keyof Database, Row extends { id: string }>
  extends Resource<T, Row> {
  /** Where it answers, below the version. */
  path: string;
  /** Name in policy rules (contract A5). */
  policy: string;
  /** What a POST and a PUT take under the root key, where there are such. */
  bodies: { post?: z.ZodType; put?: z.ZodType };
}

type Query<T extends keyof Database, Row> = SelectQueryBuilder<Database, T, Row>;

/** The id in the path. What is no UUID names nothing. */
export function pathId(context: Context, resource: ResourceName, parameter = 'id'): string {
  const id = context.req.param(parameter) ?? '';
  if (!isUuid(id)) throw notFound(resource, id);
  return id.toLowerCase();
}

/**
 * One row.
 * @param id as the database writes it
 * @throws Fault 404
 */
export async function findRow<T extends keyof Database, Row extends { id: string }>(
  db: Queryable,
  resource: Resource<T, Row>,
  id: string,
): Promise<Row> {
  const row = isUuid(id)
    ? await lookupOf(resource)(db, id)
    : (await resource.select(db).where(equals(resource.attributes.id, id)).execute())[0];
  if (row === undefined) throw notFound(resource.title, id);
  return row;
}

const lookups = new WeakMap<object, Lookup<never>>();

/** How to ask for one row of a resource: by far the most frequent question. */
function lookupOf<T extends keyof Database, Row extends { id: string }>(
  resource: Resource<T, Row>,
): Lookup<Row> {
  const known = lookups.get(resource) as Lookup<Row> | undefined;
  if (known !== undefined) return known;
  const lookup = sharedLookup<Row>((db, ids) =>
    resource.select(db).where(isOneOf(resource.attributes.id, ids)),
  );
  lookups.set(resource, lookup as Lookup<never>);
  return lookup;
}

/** Answer with one object under its root key. */
export function answerOne<T extends keyof Database, Row extends { id: string }>(
  context: Context,
  resource: Resource<T, Row>,
  row: Row,
  status: 200 | 201 = 200,
): Response {
  const object = resource.present(row);
  return context.json({ [resource.root]: status === 200 ? selectFields(context, object) : object }, status);
}

/** Answer `GET /{id}`. */
export async function answerShow<T extends keyof Database, Row extends { id: string }>(
  context: Context,
  db: Db,
  resource: Resource<T, Row>,
): Promise<Response> {
  return answerOne(context, resource, await findRow(db, resource, pathId(context, resource.title)));
}

/** Answer `GET /`: one page in the order that was asked for, oldest first otherwise. */
export async function answerList<T extends keyof Database, Row extends { id: string }>(
  context: Context,
  db: Db,
  resource: Resource<T, Row>,
  narrow: (query: Query<T, Row>) => Query<T, Row> = (query) => query,
): Promise<Response> {
  const { attributes, plural, linksKey = `${plural}_links` } = resource;
  const tieBreak = attributes.created_at === undefined ? ['id'] : ['created_at', 'id'];
  const request = parseListQuery(context, attributes);
  let rows: Row[];
  try {
    const scope = context.get('projectScope');
    const query = narrow(resource.select(db));
    const visible =
      scope === undefined || attributes.project_id === undefined
        ? query
        : query.where(equals(attributes.project_id, scope));
    rows = await listPage(visible, attributes, tieBreak, request);
  } catch (error) {
    if (error instanceof UnknownMarkerError) throw badRequest(`Unknown marker '${error.message}'.`);
    throw error;
  }
  return context.json({
    [plural]: rows.map((row) => selectFields(context, resource.present(row))),
    [linksKey]: pageLinks(
      context,
      request,
      rows.map((row) => ({ marker: row.id })),
    ),
  });
}
