import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { AmphoraeError, TransientError } from '../../model/errors.ts';
import { type EventFilter, resourceNames } from '../../status/event.ts';
import type { FeedItem } from '../../status/feed.ts';
import { EventsGone } from '../../status/stream-reader.ts';
import type { Api } from '../api.ts';
import { text, Uuid } from '../attributes.ts';
import type { Access } from '../auth/authenticate.ts';
import { callerOf } from '../auth/caller.ts';
import { EVENT_ACTIONS } from '../auth/operation.ts';
import { type EventStreams, eventBlock } from '../event-streams.ts';
import { badRequest, Fault, invalidInput, notImplemented } from '../fault.ts';

/** How long a client waits before it comes again. */
const RETRY_MS = 2_000;

/** What the query may say; only `resource` may be given several times. */
export const EventQuery = z.strictObject({
  project_id: text(255).optional().describe('Only those of this project'),
  resource: z.array(z.enum(resourceNames)).optional().describe('Only those of objects of this kind'),
  id: Uuid.optional().describe('Only those of this object'),
  loadbalancer_id: Uuid.optional().describe('Only those of this load balancer and of all that belongs to it'),
});

const Position = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);

const GONE =
  'Events are lost to you: they are not kept any more, or the stream was made again. Open the stream without ' +
  'Last-Event-ID, read the objects that you know again, and go on from there.';

/** `/events`: status events as they happen. Not part of Octavia. */
export function eventRoutes(api: Api, streams: EventStreams): Hono {
  const routes = new Hono();
  routes.get('/', async (context) => {
    const { statusFeed, access } = api;
    if (statusFeed === undefined) throw notImplemented('This process has no status events.');
    assertEventStreamAccepted(context);
    const filter = filterOf(context, access);
    const after = positionOf(context);
    const holder = access && context.get('caller').projectId;
    return streams.answer(context, holder, async (signal) => {
      const items = await statusFeed.follow(filter, after, signal).catch((error) => {
        if (error instanceof EventsGone) throw new Fault(410, GONE);
        if (!(error instanceof TransientError)) throw error;
        throw new Fault(503, 'Status events cannot be read at the moment. Try again later.', {
          'Retry-After': '2',
        });
      });
      return whileAllowed(items, api, context);
    });
  });
  return routes;
}

/** End when the caller may no longer follow them, as soon as a request would be refused. */
async function* whileAllowed(
  items: AsyncIterable<FeedItem>,
  { access, config }: Api,
  context: Context,
): AsyncGenerator<string> {
  let checkedAt = Date.now();
  for await (const item of items) {
    if (access !== undefined && Date.now() - checkedAt >= config.token_cache_seconds * 1000) {
      if (!(await mayStill(access, context))) return;
      checkedAt = Date.now();
    }
    yield blockOf(item);
  }
}

function blockOf(item: FeedItem): string {
  switch (item.kind) {
    case 'ready':
      return `retry: ${RETRY_MS}\n${eventBlock('ready', { position: item.position }, item.position)}`;
    case 'status':
      return eventBlock('status', item.event, item.position);
    case 'alive':
      // Without data it is no event, but a quiet client remembers how far it has come.
      return `: alive\nid: ${item.position}\n\n`;
    case 'outage':
      return eventBlock('outage', {
        message: 'The message broker is away. What happens meanwhile comes later.',
      });
    case 'resumed':
      return eventBlock('resumed', { message: 'Events come again; none was left out.' });
    case 'gone':
      return eventBlock('gone', { message: GONE });
  }
}

function assertEventStreamAccepted(context: Context): void {
  const accept = context.req.header('accept') ?? '';
  if (accept !== '' && !/(^|[\s,])(\*\/\*|text\/\*|text\/event-stream)/i.test(accept))
    throw new Fault(406, 'Only text/event-stream is available.');
}

function filterOf(context: Context, access: Access | undefined): EventFilter {
  const given = Object.entries(context.req.queries()).map(([name, values]) => [
    name,
    name === 'resource' || values.length > 1 ? values : values[0],
  ]);
  const { data: query, error } = EventQuery.safeParse(Object.fromEntries(given));
  if (error !== undefined) {
    const [issue] = error.issues;
    if (issue?.code === 'unrecognized_keys') throw badRequest(`Unknown parameter: ${issue.keys.join(', ')}.`);
    const name = String(issue?.path[0]);
    throw invalidInput(name, context.req.queries(name)?.join(','), issue?.message ?? '');
  }
  const projectId = context.get('projectScope') ?? query.project_id;
  return {
    projectId,
    resources: visibleResources(context, access, query.resource, projectId),
    id: query.id,
    loadBalancerId: query.loadbalancer_id,
  };
}

/** Amphorae are seen by those who may list them. */
function visibleResources(
  context: Context,
  access: Access | undefined,
  asked: string[] | undefined,
  projectId: string | undefined,
): string[] | undefined {
  const { subject } = context.get('caller');
  const target = projectId === undefined ? {} : { project_id: projectId };
  if (!access || !subject || access.policy.allows('os_load-balancer_api:amphora:get_all', subject, target))
    return asked;
  if (asked?.includes('amphora')) throw new Fault(403, 'Policy does not allow events of amphorae.');
  return asked ?? resourceNames.filter((name) => name !== 'amphora');
}

function positionOf(context: Context): number | undefined {
  const given = context.req.header('last-event-id');
  if (given === undefined || given === '') return undefined;
  const { data } = Position.safeParse(given);
  if (data === undefined) throw invalidInput('Last-Event-ID', given, 'Value should be the id of an event.');
  return data;
}

/** A token may have been revoked since, or its roles taken away; while Keystone cannot say, it has not. */
async function mayStill(access: Access, context: Context): Promise<boolean> {
  try {
    const token = await access.subject(context.req.header('x-auth-token') ?? '');
    const subject = token && callerOf(token, access.policy)?.subject;
    const scope = context.get('projectScope');
    if (subject === undefined) return false;
    return scope === undefined
      ? access.policy.allows(EVENT_ACTIONS.global, subject, {})
      : access.policy.allows(EVENT_ACTIONS.own, subject, { project_id: scope });
  } catch (error) {
    if (error instanceof AmphoraeError) return true;
    throw error;
  }
}
