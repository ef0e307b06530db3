import { randomUUID } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { tryGetContext } from 'hono/context-storage';
import { matchedRoutes } from 'hono/route';
import type { Logger } from 'pino';

declare module 'hono' {
  interface ContextVariableMap {
    /** Says of each line which request it is about. */
    log: Logger;
    /** The load balancer that the request is to change. */
    loadBalancerId?: string;
  }
}

/** What a client says that its request is part of, as OpenStack's services say it to each other. */
const GLOBAL_ID = /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Gives every request an id, which its answer has in `X-Openstack-Request-Id` and each line about it in `request_id`; and
 * logs one line for each that asks for a change. Those that read are logged where debugging is on. Queries are not.
 */
export function requestLog(log: Logger): MiddlewareHandler {
  return async (context, next) => {
    const started = performance.now();
    const id = `req-${randomUUID()}`;
    const given = context.req.header('x-openstack-request-id') ?? '';
    const own = log.child({ request_id: id, ...(GLOBAL_ID.test(given) && { global_request_id: given }) });
    context.set('log', own);
    context.header('X-Openstack-Request-Id', id);
    await next();
    const level = context.req.method === 'GET' ? 'debug' : 'info';
    if (!own.isLevelEnabled(level)) return;
    const { method, path } = context.req;
    const caller = context.get('caller');
    own[level](
      {
        method,
        route: routeOf(context),
        path,
        status: context.res.status,
        ms: Math.round(performance.now() - started),
        loadbalancer_id: context.get('loadBalancerId'),
        ...(caller !== undefined && { project_id: caller.projectId, user: caller.name }),
      },
      'request',
    );
  };
}

/** Have the line about the request at hand name the load balancer that it changes. */
export function aboutLoadBalancer(id: string): void {
  tryGetContext()?.set('loadBalancerId', id);
}

/** The path as it was described, with parameters; undefined where nothing is served. */
function routeOf(context: Context): string | undefined {
  return matchedRoutes(context).findLast(({ method }) => method !== 'ALL')?.path;
}
