import * as z from 'zod';
import type { Route } from '../app.ts';
import { parseRequest } from '../errors.ts';
import type { Keepalived } from '../keepalived/keepalived.ts';
import { OK, setEtag } from './body.ts';

/** VRRP (contract D2). */
export function keepalivedRoutes(keepalived: Keepalived): Route[] {
  return [
    [
      'PUT',
      '/1.0/vrrp/upload',
      async (context) => {
        const config = await context.req.text();
        await keepalived.upload(config);
        setEtag(context, config);
        return context.json(OK);
      },
    ],
    [
      'PUT',
      '/1.0/vrrp/:action',
      async (context) => {
        const action = parseRequest(
          z.enum(['start', 'stop', 'reload']),
          context.req.param('action'),
          'action',
        );
        await (action === 'stop' ? keepalived.stop() : keepalived.reload());
        return context.json({ ...OK, details: `keepalived: ${action} is done` }, 202);
      },
    ],
  ];
}
