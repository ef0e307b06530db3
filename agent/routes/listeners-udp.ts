import * as z from 'zod';
import type { Route } from '../app.ts';
import { AgentError, parseRequest } from '../errors.ts';
import type { Haproxies } from '../haproxy/haproxies.ts';
import type { Interfaces } from '../interfaces/interfaces.ts';
import type { Lvs } from '../lvs/lvs.ts';
import { OK, setEtag } from './body.ts';

const Id = z.uuid().transform((id) => id.toLowerCase());
const Action = z.enum(['start', 'stop', 'reload']);

/**
 * UDP and SCTP listeners (contract D2, E4). They share paths with haproxy's: whatever LVS does not know is passed on, so these
 * routes come first.
 */
export function lvsRoutes(
  lvs: Lvs,
  haproxies: Pick<Haproxies, 'listeners'>,
  interfaces: Pick<Interfaces, 'announce'>,
): Route[] {
  return [
    [
      'PUT',
      '/1.0/listeners/:amphora/:id/udp_listener',
      async (context) => {
        parseRequest(Id, context.req.param('amphora'), 'amphora');
        const config = await context.req.text();
        await lvs.of(parseRequest(Id, context.req.param('id'), 'listener')).upload(config);
        setEtag(context, config);
        return context.json(OK);
      },
    ],
    [
      'GET',
      '/1.0/listeners/:id/udp_listener',
      async (context) => {
        const id = parseRequest(Id, context.req.param('id'), 'listener');
        const config = (await lvs.has(id)) ? await lvs.of(id).config() : undefined;
        if (config === undefined) throw new AgentError(404, 'UDP Listener Not Found');
        setEtag(context, config);
        return context.text(config);
      },
    ],
    [
      'PUT',
      '/1.0/loadbalancer/:id/:action',
      async (context, next) => {
        const id = Id.safeParse(context.req.param('id')).data;
        if (id === undefined || !(await lvs.has(id))) return next();
        const action = parseRequest(Action, context.req.param('action'), 'action');
        await (action === 'stop' ? lvs.of(id).stop() : lvs.of(id).reload());
        if (action !== 'stop') await interfaces.announce();
        return context.json({ ...OK, details: `${action} of the listener is done` }, 202);
      },
    ],
    [
      'DELETE',
      '/1.0/listeners/:id',
      async (context, next) => {
        const id = Id.safeParse(context.req.param('id')).data;
        if (id === undefined || !(await lvs.has(id))) return next();
        await lvs.remove(id);
        return context.json(OK);
      },
    ],
    [
      'GET',
      '/1.0/listeners',
      async (context) => context.json([...(await haproxies.listeners()), ...(await lvs.listeners())]),
    ],
  ];
}
