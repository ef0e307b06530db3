import * as z from 'zod';
import { IN_FORCE_HEADER } from '../../src/amphora-api/headers.ts';
import type { Route } from '../app.ts';
import type { Certificates } from '../certificates.ts';
import { AgentError, parseRequest } from '../errors.ts';
import type { Haproxies } from '../haproxy/haproxies.ts';
import type { Interfaces } from '../interfaces/interfaces.ts';
import { OK, setEtag } from './body.ts';

const Id = z.uuid().transform((id) => id.toLowerCase());

/** haproxy's configuration and life (contract D2). */
export function haproxyRoutes(
  haproxies: Haproxies,
  certificates: Pick<Certificates, 'deleteAll'>,
  interfaces: Pick<Interfaces, 'announce'>,
): Route[] {
  return [
    [
      'PUT',
      '/1.0/loadbalancer/:amphora/:id/haproxy',
      async (context) => {
        parseRequest(Id, context.req.param('amphora'), 'amphora');
        const config = await context.req.text();
        const instance = haproxies.of(parseRequest(Id, context.req.param('id'), 'loadbalancer'));
        const { inForce } = await instance.upload(config);
        setEtag(context, config);
        context.header(IN_FORCE_HEADER, String(inForce));
        return context.json(OK, 202);
      },
    ],
    [
      'GET',
      '/1.0/loadbalancer/:id/haproxy',
      async (context) => {
        const config = await haproxies.of(parseRequest(Id, context.req.param('id'), 'loadbalancer')).config();
        if (config === undefined) throw new AgentError(404, 'Haproxy Listener Not Found');
        setEtag(context, config);
        return context.text(config);
      },
    ],
    [
      'PUT',
      '/1.0/loadbalancer/:id/:action',
      async (context) => {
        const instance = haproxies.of(parseRequest(Id, context.req.param('id'), 'loadbalancer'));
        const action = parseRequest(
          z.enum(['start', 'stop', 'reload']),
          context.req.param('action'),
          'action',
        );
        if (action === 'stop') {
          await instance.stop();
          return context.json({ ...OK, details: 'stop of the configuration is done' }, 202);
        }
        const { by, reloads } = await instance.reload();
        if (by === 'start' || by === 'reload') await interfaces.announce();
        const details = `${action} of the configuration is done by ${by}; reloads so far: ${reloads}`;
        return context.json({ ...OK, details }, 202);
      },
    ],
    [
      'DELETE',
      '/1.0/listeners/:id',
      async (context) => {
        const id = parseRequest(Id, context.req.param('id'), 'listener');
        await haproxies.remove(id);
        await certificates.deleteAll(id);
        return context.json(OK);
      },
    ],
  ];
}
