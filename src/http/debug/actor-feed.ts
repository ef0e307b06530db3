import type { ActorKind } from '../../machines/address.ts';
import { Alarm } from '../../status/alarm.ts';
import { eventsAfter, type HistoryEvent } from '../../store/actor-history.ts';
import type { Actor } from '../../store/actors.ts';
import type { Charts } from '../../visualizer/charts.ts';
import { transitionsTaken } from '../../visualizer/taken.ts';
import type { Api } from '../api.ts';
import { eventBlock } from '../event-streams.ts';
import { actorParts } from './actor-parts.ts';
import { type ActorView, viewActor } from './actor-view.ts';
import { busBlock, HEARTBEAT, HEARTBEAT_MS, type Live, RETRY } from './live.ts';

/** The actor is no longer there. */
export const GONE = eventBlock('gone', {});

/** Events read at once. */
const BATCH = 100;

/**
 * What becomes of an actor after a version: each event of its history once and in order, with its version as id, and
 * then the pieces of the page that are different now. The rows say it all; whatever is heard only says that it is time to
 * read them. So nothing is missed and nothing comes twice, however often a stream begins anew.
 */
export async function* followActor(
  { db }: Api,
  charts: Charts,
  live: Live,
  actor: Actor,
  version: number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { kind, id } = actor;
  const alarm = new Alarm();
  const ring = () => alarm.ring();
  signal.addEventListener('abort', ring, { once: true });
  const leave = await live.watch({
    // Those of its family are on the page, too.
    traced: ({ loadbalancer_id }) => loadbalancer_id === actor.load_balancer_id && ring(),
    missed: ring,
    bus: ring,
  });
  const shown = new Map<string, string>();
  let up: boolean | undefined;
  let last = version;
  try {
    yield RETRY;
    while (!signal.aborted) {
      if (up !== live.up) yield busBlock(live);
      up = live.up;
      const events = await eventsAfter(db, { kind, id }, last, BATCH);
      for (const event of events) {
        last = event.version;
        yield eventBlock('transition', stepOf(charts, kind, event), last);
      }
      if (events.length === BATCH) continue;
      const view = await viewActor(db, live, { kind, id });
      if (view === undefined) return yield GONE;
      yield eventBlock('parts', await changedParts(view, shown));
      while (!(await alarm.rang(HEARTBEAT_MS))) yield HEARTBEAT;
    }
  } finally {
    leave();
  }
}

/** The pieces that are different from what was sent last. */
async function changedParts(view: ActorView, shown: Map<string, string>) {
  const parts: Record<string, string> = {};
  for (const [name, fragment] of Object.entries(actorParts(view))) {
    const text = String(await fragment);
    if (shown.get(name) !== text) parts[name] = text;
    shown.set(name, text);
  }
  const { version, state } = view.actor;
  return { now: view.now, version, state, parts };
}

/** An event of the history, with what a page marks in the picture for it. */
function stepOf(charts: Charts, kind: ActorKind, { type, ...event }: HistoryEvent) {
  const { from, to } = event;
  return { ...event, event: type, taken: transitionsTaken(charts.chart(kind), { event: type, from, to }) };
}
