import type { Context } from 'hono';
import * as z from 'zod';
import type { Route } from '../app.ts';
import type { Certificates } from '../certificates.ts';
import { AgentError, parseRequest } from '../errors.ts';
import type { Haproxies } from '../haproxy/haproxies.ts';
import { md5, OK, setEtag } from './body.ts';

const Path = z.object({
  id: z.uuid().transform((id) => id.toLowerCase()),
  file: z.string().regex(/^[A-Za-z0-9_-]{1,128}\.pem$/, 'must be a plain name that ends in .pem'),
});
const DIRECTORY = '/1.0/loadbalancer/:id/certificates';
const PATH = `${DIRECTORY}/:file`;

/** Certificates of listeners (contract D2). */
export function certificateRoutes(certificates: Certificates, haproxies: Pick<Haproxies, 'of'>): Route[] {
  const target = (context: Context) => parseRequest(Path, context.req.param());
  return [
    [
      'GET',
      DIRECTORY,
      async (context) => {
        const { id } = parseRequest(Path.pick({ id: true }), context.req.param());
        const files = await certificates.readAll(id);
        return context.json(Object.fromEntries([...files].map(([name, content]) => [name, md5(content)])));
      },
    ],
    [
      'PUT',
      PATH,
      async (context) => {
        const { id, file } = target(context);
        const pem = await context.req.text();
        await haproxies.of(id).changeFiles(() => certificates.write(id, file, pem));
        setEtag(context, pem);
        return context.json(OK);
      },
    ],
    [
      'GET',
      PATH,
      async (context) => {
        const { id, file } = target(context);
        const pem = await certificates.read(id, file);
        if (pem === undefined) throw new AgentError(404, 'Certificate Not Found');
        setEtag(context, pem);
        return context.json({ md5sum: md5(pem) });
      },
    ],
    [
      'DELETE',
      PATH,
      async (context) => {
        const { id, file } = target(context);
        await certificates.delete(id, file);
        return context.json(OK);
      },
    ],
  ];
}
