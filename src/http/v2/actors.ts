import { type Context, Hono } from 'hono';
import { acceptedEvents } from '../../actors/accepted-events.ts';
import {
  type Actor,
  type ActorEventRow,
  type AuditEntry,
  actorAttributes,
  actorEventAttributes,
  amphoraIdsOf,
  armedTimers,
  auditAttributes,
  selectActorEvents,
  selectActors,
  selectAudit,
  waitingMessages,
} from '../../store/actors.ts';
import type { Queryable } from '../../store/database.ts';
import { InjectedEvent, injectEvent, type Order, resumeActor, type Sent } from '../actor-commands.ts';
import { type AdminEnv, adminOnly } from '../admin.ts';
import type { Api } from '../api.ts';
import { readBody } from '../body.ts';
import { answerList, findRow, pathId, type Resource } from '../resource.ts';
import { deadLetterRoutes } from './dead-letters.ts';

/** How many waiting messages are shown with an actor. */
const SHOWN_MESSAGES = 100;

const actors: Resource<'actors', Actor> = {
  title: 'Actor',
  root: 'actor',
  plural: 'actors',
  select: selectActors,
  attributes: actorAttributes,
  present: (row) => ({
    id: row.id,
    kind: row.kind,
    loadbalancer_id: row.load_balancer_id,
    partition: row.partition,
    node: row.node,
    state: row.state,
    state_since: row.state_since,
    state_seconds: Math.round(row.state_seconds),
    version: row.version,
    machine_version: row.machine_version,
    done: row.done,
    quarantined: row.quarantined !== null,
    quarantine_reason: row.quarantined,
    created_at: row.created_at,
    updated_at: row.updated_at,
  }),
};

const history: Resource<'actor_events', ActorEventRow> = {
  title: 'Actor',
  root: 'event',
  plural: 'events',
  select: selectActorEvents,
  attributes: actorEventAttributes,
  present: (row) => ({
    id: row.id,
    at: row.at,
    version: row.version,
    event: row.event,
    handled: row.handled,
    from_state: row.from_state,
    to_state: row.to_state,
    actions: row.actions,
    node: row.node,
    epoch: row.epoch,
  }),
};

const audit: Resource<'actor_audit', AuditEntry> = {
  title: 'Actor',
  root: 'audit',
  plural: 'audit',
  select: selectAudit,
  attributes: auditAttributes,
  present: (row) => ({ ...row }),
};

/** `/amphorae/actors`: what the runtime hosts, for administrators. Not part of Octavia. */
export function actorRoutes(api: Api): Hono<AdminEnv> {
  const { db } = api;
  const routes = new Hono<AdminEnv>();
  routes.use(adminOnly);
  routes.route('/dead-letters', deadLetterRoutes(api));
  routes.get('/audit', (context) => answerList(context, db, audit));

  routes.get('/', (context) => answerList(context, db, actors));
  routes.get('/:id', async (context) => context.json({ actor: await describe(db, await find(db, context)) }));
  routes.get('/:id/history', async (context) => {
    const { kind, id } = await find(db, context);
    return answerList(context, db, history, (query) =>
      query.where('actor_kind', '=', kind).where('actor_id', '=', id),
    );
  });

  const orderOf = (context: Context<AdminEnv>): Order => ({
    operator: context.get('operator'),
    find: (transaction) => find(transaction, context),
  });

  routes.post('/:id/events', async (context) => {
    const event = await readBody(context, 'event', InjectedEvent);
    return answerSent(context, await injectEvent(api, orderOf(context), event));
  });

  routes.post('/:id/resume', async (context) =>
    answerSent(context, await resumeActor(api, orderOf(context))),
  );

  return routes;
}

/** 200 with what became of a message, 202 when that is not known in time. */
function answerSent(context: Context, { envelope, reply }: Sent): Response {
  const { id, seq, event } = envelope;
  const outcome = reply && {
    from_state: reply.fromState,
    to_state: reply.toState,
    handled: reply.handled,
    error: reply.error,
  };
  return context.json({ message: { id, seq, event }, outcome: outcome ?? null }, reply ? 200 : 202);
}

function find(db: Queryable, context: Context): Promise<Actor> {
  return findRow(db, actors, pathId(context, 'Actor'));
}

/** An actor with all that hangs on it. */
async function describe(db: Queryable, actor: Actor) {
  const [messages, timers, amphorae] = await Promise.all([
    waitingMessages(db, actor, SHOWN_MESSAGES),
    armedTimers(db, actor),
    amphoraIdsOf(db, actor.load_balancer_id),
  ]);
  return {
    ...actors.present(actor),
    snapshot: actor.snapshot,
    input: actor.input,
    effects: actor.effects,
    timers,
    messages,
    accepted_events: acceptedEvents(actor.kind),
    links: { loadbalancer: actor.load_balancer_id, amphorae },
  };
}
