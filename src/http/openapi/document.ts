import * as z from 'zod';
import { StatusEvent } from '../../status/event.ts';
import type { Operation } from '../auth/operation.ts';
import type { ResourceDescription } from '../resources.ts';
import { MemberBatch } from '../schemas/member.ts';
import { EventQuery } from '../v2/events.ts';
import { answers, answersToPost, Fault, Links, specialAnswers } from './answers.ts';

type Json = Record<string, unknown>;

/** What a request can be refused with, wherever it goes. */
const FAULTS = {
  400: 'The request is wrong; the text names the attribute',
  401: 'No token, or none that is valid',
  403: 'Policy does not allow it, or a quota is met',
  404: 'There is no such object',
  406: 'Only JSON is answered',
  409: 'Something else is going on, or the name, address or port is taken',
  410: 'The events that were asked for are not kept any more',
  413: 'The body is too large',
  415: 'The body is not JSON',
  429: 'The project has too many streams of events',
  501: 'Octavia knows it, this provider does not',
  503: 'The database or the identity service cannot be reached, or the request took too long',
} as const;

/** The API in OpenAPI 3.1, from the operations that it serves and the schemas that it checks requests with. */
export function openApiDocument(operations: readonly Operation[]): Json {
  const schemas: Json = { Fault: schemaOf(Fault, 'output') };
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    paths[operation.path] ??= {};
    Object.assign(paths[operation.path] as Json, {
      [operation.method.toLowerCase()]: describe(operation, schemas),
    });
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Amphorae',
      version: '2.30',
      description:
        'The Octavia API v2, and below /amphorae what is our own. Each path answers below /v2 as well.',
    },
    servers: [{ url: '/v2.0' }],
    security: [{ token: [] }, {}],
    tags: [...new Set(operations.map(tagOf))].map((name) => ({ name })),
    paths,
    components: {
      schemas,
      responses: Object.fromEntries(
        Object.entries(FAULTS).map(([status, description]) => [
          status,
          { description, ...json(ref('Fault')) },
        ]),
      ),
      securitySchemes: {
        token: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Auth-Token',
          description: "Keystone's, for a project",
        },
      },
    },
  };
}

/** What only a stream of events is refused with. */
const STREAM_FAULTS = ['410', '429'];

const isStream = ({ path }: Operation) => path === '/events';

function describe(operation: Operation, schemas: Json): Json {
  const { method, path, actions, resource } = operation;
  const verb = actions[0]?.split(':').at(-1) ?? '';
  const body = bodyOf(operation);
  const bodyName =
    body &&
    `${pascal(tagOf(operation))}${method === 'POST' ? 'Create' : 'Update'}${path.endsWith('members') && method === 'PUT' ? 'Batch' : ''}`;
  if (body && bodyName) schemas[bodyName] = schemaOf(body, 'input');
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[/{]+(\w)|\}/g, (_, letter = '') => letter.toUpperCase())}`,
    summary: `${verb} ${resource?.title ?? tagOf(operation)}`,
    description: `Policy: ${actions.map((action) => `\`${action}\``).join(', ')}`,
    tags: [tagOf(operation)],
    parameters: [...pathParameters(path), ...queryParameters(operation)],
    ...(bodyName && { requestBody: { required: true, ...json(ref(bodyName)) } }),
    responses: {
      ...successOf(operation, schemas),
      ...Object.fromEntries(
        Object.keys(FAULTS)
          .filter((status) => isStream(operation) || !STREAM_FAULTS.includes(status))
          .map((status) => [status, { $ref: `#/components/responses/${status}` }]),
      ),
    },
  };
}

/** The schema of what a request carries, under its root key. */
function bodyOf({ method, path, resource }: Operation): z.ZodType | undefined {
  if (resource === undefined) return method === 'POST' ? z.looseObject({}) : undefined;
  const below = path.slice(resource.path.length);
  if (method === 'POST' && below === '') return wrap(resource.root, resource.bodies.post);
  if (method !== 'PUT') return undefined;
  if (below === '') return z.strictObject({ members: MemberBatch });
  return below.split('/').length === 2 ? wrap(resource.root, resource.bodies.put) : undefined;
}

function wrap(root: string, schema: z.ZodType | undefined): z.ZodType | undefined {
  return schema && z.strictObject({ [root]: schema });
}

function successOf(operation: Operation, schemas: Json): Json {
  const { method, path, resource } = operation;
  if (isStream(operation)) return { 200: eventStream(schemas) };
  const below = path.slice(resource?.path.length ?? 0);
  if (method === 'DELETE')
    return { [resource?.policy === 'quota' ? 202 : 204]: { description: 'Done, or begun' } };
  const special = specialOf(operation);
  if (special !== undefined)
    return { 200: { description: 'As it is', ...json(schemaOf(special, 'output')) } };
  if (resource === undefined)
    return { [method === 'POST' ? '2XX' : 200]: { description: 'Done', ...json({ type: 'object' }) } };
  if (method === 'PUT' && (below === '' || below.split('/').length > 2))
    return { 202: { description: 'Begun' } };
  if (method === 'GET' && below === '')
    return { 200: { description: 'One page', ...json(listOf(resource, schemas)) } };
  const one = answers[resource.root];
  if (method === 'POST') {
    const shape = answersToPost[resource.root] ?? one;
    return {
      201: { description: 'Made, or begun', ...json(rooted(resource.root, shape, schemas, 'Created')) },
    };
  }
  const status = resource.policy === 'quota' && method === 'PUT' ? 202 : 200;
  return { [status]: { description: 'The object', ...json(rooted(resource.root, one, schemas)) } };
}

function eventStream(schemas: Json): Json {
  schemas.StatusEvent = schemaOf(StatusEvent, 'input');
  return {
    description:
      'Server-sent events. `status` has a StatusEvent as its data; `ready` comes first; `outage` and `resumed` say that ' +
      'events are late; `gone` comes last, when some are lost.',
    content: { 'text/event-stream': { schema: { type: 'string' }, 'x-event-data': ref('StatusEvent') } },
  };
}

function specialOf({ path, resource }: Operation): z.ZodObject | undefined {
  const last = path.split('/').at(-1) ?? '';
  if (last === 'stats') return specialAnswers[resource?.policy === 'amphora' ? 'amphoraStats' : 'stats'];
  return specialAnswers[last === 'statuses' ? 'status' : last];
}

function listOf({ root, plural, linksKey = `${plural}_links` }: ResourceDescription, schemas: Json): Json {
  return {
    type: 'object',
    properties: {
      [plural]: { type: 'array', items: named(root, answers[root], schemas) },
      [linksKey]: schemaOf(Links, 'output'),
    },
    required: [plural, linksKey],
  };
}

function rooted(root: string, schema: z.ZodObject | undefined, schemas: Json, suffix = ''): Json {
  return { type: 'object', properties: { [root]: named(root, schema, schemas, suffix) }, required: [root] };
}

function named(root: string, schema: z.ZodObject | undefined, schemas: Json, suffix = ''): Json {
  const name = `${pascal(root)}${schema === answersToPost[root] ? suffix : ''}`;
  schemas[name] ??= schema === undefined ? { type: 'object' } : schemaOf(schema, 'output');
  return ref(name);
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema:
      name === 'id' || /^(pool|policy)_id$/.test(name)
        ? { type: 'string', format: 'uuid' }
        : { type: 'string' },
  }));
}

const query = (name: string, schema: Json, description: string): Json => ({
  name,
  in: 'query',
  schema,
  description,
});
const repeated = { type: 'array', items: { type: 'string' } };

function queryParameters(operation: Operation): Json[] {
  const { method, path, resource } = operation;
  if (isStream(operation)) {
    return [
      ...Object.entries(EventQuery.shape).map(([name, schema]) =>
        query(name, schemaOf(schema, 'input'), schema.description ?? ''),
      ),
      {
        name: 'Last-Event-ID',
        in: 'header',
        schema: { type: 'integer' },
        description: 'Go on after this event; without it, from now on',
      },
    ];
  }
  if (method === 'DELETE' && resource?.policy === 'loadbalancer') {
    return [query('cascade', { type: 'boolean' }, 'With all that hangs below')];
  }
  if (method === 'PUT' && resource?.policy === 'member' && path === resource.path) {
    return [query('additive_only', { type: 'boolean' }, 'Remove none')];
  }
  if (method !== 'GET' || resource === undefined) return [];
  const fields = query('fields', repeated, 'Only these attributes');
  if (path !== resource.path) return path.endsWith('}') ? [fields] : [];
  const { attributes } = resource;
  return [
    query('limit', { type: 'integer' }, 'Largest number of objects'),
    query('marker', { type: 'string' }, 'The object before the page'),
    query('page_reverse', { type: 'boolean' }, 'The page before the marker'),
    query('sort', { type: 'string' }, 'key:asc,key:desc,...'),
    query('sort_key', repeated, 'The same, one by one'),
    query('sort_dir', { type: 'array', items: { enum: ['asc', 'desc'] } }, 'The direction of each sort_key'),
    fields,
    ...Object.entries(attributes)
      .filter(([, { type }]) => type !== 'tags')
      .map(([name, { type }]) => query(name, FILTERS[type] ?? { type: 'string' }, 'Exactly this value')),
    ...('tags' in attributes ? ['tags', 'tags-any', 'not-tags', 'not-tags-any'] : []).map((name) =>
      query(name, { type: 'string' }, 'Tags, with commas between them'),
    ),
  ];
}

const FILTERS: Record<string, Json> = {
  integer: { type: 'integer' },
  number: { type: 'number' },
  boolean: { type: 'boolean' },
  uuid: { type: 'string', format: 'uuid' },
};

function tagOf({ path, resource }: Operation): string {
  return resource?.title ?? pascal(path.split('/')[2] ?? path);
}

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Json): Json => ({ content: { 'application/json': { schema } } });

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

function pascal(text: string): string {
  return text.replace(/(?:^|[^a-zA-Z0-9]+)(\w)/g, (_, letter: string) => letter.toUpperCase());
}
