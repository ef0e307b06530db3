import { type Context, type Handler, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { HTTPException } from 'hono/http-exception';
import type { Logger } from 'pino';
import type { EpochFence } from './epoch.ts';
import { AgentError } from './errors.ts';

/** One endpoint: verb, path below the root, handler. */
export type Route = ['GET' | 'POST' | 'PUT' | 'DELETE', string, Handler];

interface AppParts {
  fence: EpochFence;
  log: Logger;
  routes: Route[];
}

/** Rules for 100,000 CIDRs or members take about 8 MB. */
const BODY_LIMIT = 16 * 1024 * 1024;

/** The agent's HTTP application: logging, size limit, fencing, the routes, and the contract's two error bodies. */
export function createApp({ fence, log, routes }: AppParts): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    const start = performance.now();
    await next();
    const { method, path } = context.req;
    log.info(
      { method, path, status: context.res.status, ms: Math.round(performance.now() - start) },
      'request',
    );
  });
  app.use(
    bodyLimit({ maxSize: BODY_LIMIT, onError: (context) => frameworkError(context, 413, 'Body too large') }),
  );
  app.use(fence.middleware);

  for (const [method, path, handler] of routes) app.on(method, path, handler);
  for (const path of new Set(routes.map(([, path]) => path))) {
    const allowed = routes.filter((route) => route[1] === path).map(([method]) => method);
    app.all(path, (context) => {
      context.header('Allow', allowed.join(', '));
      return frameworkError(context, 405, 'Method not allowed');
    });
  }

  app.notFound((context) => frameworkError(context, 404, 'Not found'));
  app.onError((error, context) => {
    if (error instanceof AgentError) {
      if (error.status >= 500) log.error({ err: error, details: error.details }, 'request failed');
      const { message, details, code } = error;
      return context.json({ message, ...(details && { details }), ...(code && { code }) }, error.status);
    }
    if (error instanceof HTTPException) return frameworkError(context, error.status, error.message);
    log.error({ err: error }, 'request failed');
    return frameworkError(context, 500, error.message);
  });
  return app;
}

function frameworkError(
  context: Context,
  status: 404 | 405 | 413 | 500 | HTTPException['status'],
  error: string,
) {
  return context.json({ error, http_code: status }, status as 500);
}
