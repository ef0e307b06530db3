import type { Context } from 'hono';
import type { ActorRef } from '../../store/actors.ts';
import { isUuid } from '../../store/list.ts';
import { Fault } from '../fault.ts';

/** The actor that the path of a page names. @throws Fault 404 for what can be none */
export function actorOf(context: Context): ActorRef {
  const { kind = '', id = '' } = context.req.param() as { kind?: string; id?: string };
  if ((kind !== 'load-balancer' && kind !== 'amphora') || !isUuid(id)) throw noSuchActor({ kind, id });
  return { kind, id: id.toLowerCase() };
}

export const noSuchActor = ({ kind, id }: { kind: string; id: string }) =>
  new Fault(404, `There is no actor ${kind} ${id}. It never was, or has ended and was removed.`);
