import { Hono } from 'hono';
import * as z from 'zod';
import type { Charts } from '../../visualizer/charts.ts';
import type { Api } from '../api.ts';
import type { EventStreams } from '../event-streams.ts';
import { badRequest, Fault } from '../fault.ts';
import { followActor, GONE } from './actor-feed.ts';
import { actorOf, findActor, noSuchActor } from './actor-path.ts';
import { ListFeed } from './list-feed.ts';
import { readListQuery } from './list-query.ts';

const Time = z.iso.datetime({ precision: 6 });
const Version = z.coerce.number().int().min(0);

/** What pages hear: `/debug/events` about a list, `/debug/actors/:kind/:id/events` about one actor. */
export function eventRoutes(api: Api, charts: Charts, streams: EventStreams): Hono {
  const routes = new Hono();
  const { live, config } = api;
  if (live === undefined) {
    return routes.on('GET', ['/events', '/actors/:kind/:id/events'], () => {
      throw new Fault(503, 'This process does not hear what actors do.');
    });
  }
  const list = new ListFeed(api, charts, live);
  /** A page comes again, and has to say who it is, as often as other clients are asked. */
  const whileAllowed = (signal: AbortSignal) =>
    api.access === undefined
      ? signal
      : AbortSignal.any([signal, AbortSignal.timeout(config.token_cache_seconds * 1000)]);

  routes.get('/events', (context) => {
    const { since: asked, ...filters } = context.req.query();
    const query = readListQuery(filters);
    const since = Time.safeParse(context.req.header('last-event-id') ?? asked);
    if (!since.success) throw badRequest('Say since when: the time that the page bears.');
    return streams.answer(context, undefined, async (signal) =>
      list.follow(query, since.data, whileAllowed(signal)),
    );
  });

  routes.get('/actors/:kind/:id/events', async (context) => {
    const version = Version.safeParse(
      context.req.header('last-event-id') ?? context.req.query('version') ?? 0,
    );
    if (!version.success) throw badRequest('The version to begin after is a number.');
    const ref = actorOf(context);
    const actor = await findActor(api.db, ref);
    // A page that has seen it has to hear that it is gone; a browser tells it nothing of a 404.
    if (actor === undefined && version.data === 0) throw noSuchActor(ref);
    return streams.answer(context, undefined, async (signal) =>
      actor === undefined
        ? gone()
        : followActor(api, charts, live, actor, version.data, whileAllowed(signal)),
    );
  });
  return routes;
}

async function* gone(): AsyncGenerator<string> {
  yield GONE;
}
