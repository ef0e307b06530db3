import type { Context } from 'hono';
import { ActorKindName } from '../../actors/trace.ts';
import { type Actor, type ActorRef, selectActors } from '../../store/actors.ts';
import type { Queryable } from '../../store/database.ts';
import { isUuid } from '../../store/list.ts';
import { Fault } from '../fault.ts';

/** Path of an actor's page. */
export function actorPath({ kind, id }: ActorRef): string {
  return `/debug/actors/${kind}/${id}`;
}

/** The actor that the path of a request names. @throws Fault 404 for what can be none */
export function actorOf(context: Context): ActorRef {
  const { kind = '', id = '' } = context.req.param() as { kind?: string; id?: string };
  const known = ActorKindName.safeParse(kind);
  if (!known.success || !isUuid(id)) throw noSuchActor({ kind, id });
  return { kind: known.data, id: id.toLowerCase() };
}

/** Its row; undefined when there is none. */
export function findActor(db: Queryable, { kind, id }: ActorRef): Promise<Actor | undefined> {
  return selectActors(db).where('actors.kind', '=', kind).where('actors.id', '=', id).executeTakeFirst();
}

/** The row of the actor that the path of a request names. @throws Fault 404 */
export async function namedActor(db: Queryable, context: Context): Promise<Actor> {
  const ref = actorOf(context);
  const actor = await findActor(db, ref);
  if (actor === undefined) throw noSuchActor(ref);
  return actor;
}

export const noSuchActor = ({ kind, id }: { kind: string; id: string }) =>
  new Fault(404, `There is no actor ${kind} ${id}. It never was, or has ended and was removed.`);
