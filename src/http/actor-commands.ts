import * as z from 'zod';
import { acceptedEvents } from '../actors/accepted-events.ts';
import type { Envelope, Reply } from '../actors/bus.ts';
import { RESUME } from '../actors/mailbox.ts';
import { type Actor, endQuarantine, recordAudit } from '../store/actors.ts';
import type { Queryable } from '../store/database.ts';
import { lockLoadBalancer } from '../store/load-balancers.ts';
import type { Api } from './api.ts';
import { integer, text } from './attributes.ts';
import { conflict, invalidInput } from './fault.ts';

/** How long an operator waits for what becomes of a message: longer than a sweep, if NATS has lost it. */
const REPLY_MS = 3_000;

const Scalar = z.union([text(10_000), z.number(), z.boolean(), z.null()]);
const Flat = z.union([Scalar, z.record(text(255), Scalar)]);
/** An event as charts have them: nothing nested deeper than a list of objects. */
export const InjectedEvent = z
  .record(text(255), z.union([Flat, z.array(Flat)]))
  .and(z.object({ type: text(255) }));
export type InjectedEvent = z.infer<typeof InjectedEvent>;

/** What an operator does to an actor: who, and how the actor is found in the transaction that does it. */
export interface Order {
  operator: string;
  find(transaction: Queryable): Promise<Actor>;
}

/** The message that was sent, and what became of it; undefined when that is not known in time. */
export interface Sent {
  envelope: Envelope;
  reply: Reply | undefined;
}

/**
 * Send an event to an actor as if somebody else had.
 * @throws Fault 400 for an event that its chart does not know, 409 when it has ended
 */
export function injectEvent(api: Api, order: Order, event: InjectedEvent): Promise<Sent> {
  return send(api, order, 'inject', async (transaction, actor) => {
    const { kind, load_balancer_id: loadBalancerId } = actor;
    const known = acceptedEvents(kind);
    if (!known.includes(event.type)) {
      throw invalidInput('type', event.type, `Value should be one of: ${known.join(', ')}`);
    }
    const meant = event.type === 'CHANGED' ? await boundedChange(transaction, loadBalancerId, event) : event;
    return { event: meant, payload: { event } };
  });
}

/**
 * A change up to what is desired, at most: one beyond it would never come into force, and be tried for ever.
 * @throws Fault 400 for what is no revision
 */
async function boundedChange(
  transaction: Queryable,
  loadBalancerId: string,
  event: InjectedEvent,
): Promise<InjectedEvent> {
  const revision = integer(1).safeParse(event.revision).data;
  if (revision === undefined) {
    throw invalidInput('revision', event.revision, 'Value should be a revision of the load balancer.');
  }
  const desired = (await lockLoadBalancer(transaction, loadBalancerId))?.desired_revision ?? revision;
  return { ...event, revision: Math.min(revision, desired) };
}

/** End the quarantine of an actor, and start its effects again. @throws Fault 409 when it has ended */
export function resumeActor(api: Api, order: Order): Promise<Sent> {
  return send(api, order, 'resume', async (transaction, actor) => ({
    event: RESUME,
    payload: { quarantined: await endQuarantine(transaction, actor) },
  }));
}

async function send(
  { db, mailbox }: Api,
  { operator, find }: Order,
  action: string,
  choose: (transaction: Queryable, actor: Actor) => Promise<{ event: { type: string }; payload: object }>,
): Promise<Sent> {
  const store = async (transaction: Queryable, replyTo: string) => {
    const actor = await find(transaction);
    if (actor.done) throw conflict(`Actor ${actor.id} has ended in ${actor.state}.`);
    const { event, payload } = await choose(transaction, actor);
    await recordAudit(transaction, { operator, action, actor, payload });
    const { kind, id, load_balancer_id: loadBalancerId } = actor;
    return mailbox.send(transaction, { kind, id, loadBalancerId }, event, replyTo);
  };
  return mailbox.ask(
    (replyTo) => db.transaction().execute((transaction) => store(transaction, replyTo)),
    REPLY_MS,
  );
}
