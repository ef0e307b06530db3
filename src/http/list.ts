import type { Context } from 'hono';
import type { Attribute, ListRequest, SortKey, TagFilter } from '../store/list.ts';
import { badRequest } from './fault.ts';
import { publicUrl } from './public-url.ts';

/** Largest page, and the page when none is asked for (contract A4). */
export const PAGE_LIMIT = 1000;

const TAG_FILTERS = new Map<string, TagFilter['mode']>([
  ['tags', 'all'],
  ['tags-any', 'any'],
  ['not-tags', 'not-all'],
  ['not-tags-any', 'none'],
]);

/**
 * Read paging, sorting and filters from the query string.
 * @param attributes what can be filtered and sorted by.
 * @throws Fault 400 for whatever is unknown, repeated or malformed.
 */
export function parseListQuery(context: Context, attributes: Record<string, Attribute>): ListRequest {
  const query = context.req.queries();
  const request: ListRequest = {
    limit: PAGE_LIMIT,
    reverse: false,
    sort: parseSort(query, attributes),
    filters: [],
    tags: [],
  };
  for (const [key, values] of Object.entries(query)) {
    if (values.some((value) => value.includes('\0')))
      throw badRequest(`Invalid value of the query parameter ${key}.`);
    if (['sort', 'sort_key', 'sort_dir', 'fields'].includes(key)) continue;
    const mode = TAG_FILTERS.get(key);
    if (mode !== undefined && attributes.tags !== undefined) {
      request.tags.push({ mode, tags: values.flatMap((value) => value.split(',')) });
      continue;
    }
    const [value = ''] = values;
    if (values.length > 1) throw badRequest(`The query parameter ${key} is given more than once.`);
    if (key === 'limit') request.limit = parseLimit(value);
    else if (key === 'marker') request.marker = value;
    else if (key === 'page_reverse') request.reverse = value.toLowerCase() === 'true';
    else if (Object.hasOwn(attributes, key)) request.filters.push({ key, value });
    else throw badRequest(`Unknown query parameter ${key}.`);
  }
  return request;
}

/** Zero and less ask for everything. */
function parseLimit(value: string): number | undefined {
  if (!/^-?\d+$/.test(value)) throw badRequest(`Invalid limit '${value}'. It should be an integer.`);
  const limit = Number(value);
  return limit > 0 ? Math.min(limit, PAGE_LIMIT) : undefined;
}

function parseSort(query: Record<string, string[]>, attributes: Record<string, Attribute>): SortKey[] {
  const pairs = (query.sort ?? []).flatMap((value) => value.split(',')).map((part) => part.split(':', 2));
  const directions = query.sort_dir ?? [];
  pairs.push(...(query.sort_key ?? []).map((key, index) => [key, directions[index] ?? 'asc']));
  return pairs.map(([key = '', direction = 'asc']) => {
    if (!Object.hasOwn(attributes, key)) throw badRequest(`Unknown sort key '${key}'.`);
    if (direction !== 'asc' && direction !== 'desc')
      throw badRequest(`Unknown sort direction '${direction}'.`);
    return { key, direction };
  });
}

/** `next` when the page is full, `previous` when it starts at a marker; both repeat the rest of the query. */
export function pageLinks(
  context: Context,
  request: ListRequest,
  page: { marker: string }[],
): { href: string; rel: string }[] {
  const link = (rel: string, marker: string | undefined, reverse: boolean) => {
    const url = publicUrl(context);
    if (marker !== undefined) url.searchParams.set('marker', marker);
    url.searchParams.delete('page_reverse');
    if (reverse) url.searchParams.set('page_reverse', 'True');
    return { rel, href: url.href };
  };
  const links = [];
  if (request.limit !== undefined && page.length === request.limit)
    links.push(link('next', page.at(-1)?.marker, false));
  if (request.marker !== undefined && page.length > 0) links.push(link('previous', page[0]?.marker, true));
  return links;
}

/** Whether a parameter of the query says yes, in any of the ways that clients have for it. */
export function queryFlag(context: Context, name: string): boolean {
  return /^(true|1|yes|on|t|y)$/i.test(context.req.query(name) ?? '');
}

/** Keep only the attributes that `fields` names; all of them when it is absent. */
export function selectFields(context: Context, object: Record<string, unknown>): Record<string, unknown> {
  const fields = context.req.queries('fields');
  if (fields === undefined) return object;
  return Object.fromEntries(Object.entries(object).filter(([key]) => fields.includes(key)));
}
