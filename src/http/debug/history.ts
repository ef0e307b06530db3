import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { newestEvents } from '../../store/actor-history.ts';
import type { Actor } from '../../store/actors.ts';
import type { Db } from '../../store/database.ts';
import type { Charts } from '../../visualizer/charts.ts';
import { type HistoryEntry, type HistoryRow, historyOf } from '../../visualizer/history.ts';
import { badRequest } from '../fault.ts';
import { actorPath, namedActor } from './actor-path.ts';
import { logEntries } from './event-log.ts';

/** How many events of an actor are replayed: the newest. */
const REPLAYED = 1_000;

/** How many events a page shows at once. */
const SHOWN = 100;

const Version = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional();
/** What of a history is asked for, by versions of the actor: later ones, earlier ones, or the page with this one. */
const Excerpt = z.object({ after: Version, before: Version, version: Version });

/** A part of an actor's history, for pages. */
export interface ShownHistory {
  /** The newest first. */
  entries: HistoryEntry[];
  /** The one to look at: the newest, unless another was asked for. */
  current: HistoryEntry | undefined;
  /** The newest entry is the newest of all. */
  latest: boolean;
  /** There are earlier events, which are not among the entries. */
  earlier: boolean;
  /** Why the machine could not be asked about all of them. */
  problem: string | undefined;
}

/**
 * Read and replay the part of an actor's history that the query of a request asks for: `after`, `before`, `version`.
 * @throws Fault 400 for versions that are none
 */
export async function readHistory(
  db: Db,
  charts: Charts,
  actor: Pick<Actor, 'kind' | 'id' | 'input' | 'version' | 'snapshot'>,
  context: Context,
): Promise<ShownHistory> {
  const asked = Excerpt.safeParse(context.req.query());
  if (!asked.success) throw badRequest('A version is a number.');
  const { version, after = -1, before = Number.MAX_SAFE_INTEGER } = asked.data;
  const rows = await newestEvents(db, actor, REPLAYED);
  const { entries, problem } = await historyOf(charts, actor.kind, actor, rows as unknown as HistoryRow[]);
  const matching = entries.filter((entry) => entry.version > after && entry.version < before);
  const found = matching.findIndex((entry) => entry.version === version);
  const position = found < 0 ? matching.length - 1 : found;
  const end = Math.max(position + 1, Math.min(matching.length, position + SHOWN / 2));
  return {
    entries: matching.slice(Math.max(0, end - SHOWN), end).reverse(),
    current: matching[position],
    latest: matching[end - 1] === entries.at(-1),
    earlier: end > SHOWN,
    problem,
  };
}

/** `/debug/actors/:kind/:id/log`, items of the log as HTML, and `.../history.json`, the same as data. */
export function historyRoutes({ db }: { db: Db }, charts: Charts): Hono {
  const routes = new Hono();
  const read = async (context: Context) => {
    const actor = await namedActor(db, context);
    return { actor, history: await readHistory(db, charts, actor, context) };
  };
  routes.get('/:kind/:id/log', async (context) => {
    const { actor, history } = await read(context);
    return context.html(logEntries(history.entries, actorPath(actor)), 200, { 'Cache-Control': 'no-store' });
  });
  // The suffix means nothing here.
  routes.get('/:kind/:id/history', async (context) => {
    const { actor, history } = await read(context);
    const { kind, id, state, version } = actor;
    const { entries, earlier, problem } = history;
    return context.json(
      {
        actor: { kind, id, state, version },
        events: entries.toReversed(),
        earlier,
        problem: problem ?? null,
      },
      200,
      { 'Cache-Control': 'no-store' },
    );
  });
  return routes;
}
