import { type Context, type Env, Hono, type MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { contextStorage } from 'hono/context-storage';
import { HTTPException } from 'hono/http-exception';
import { timeout } from 'hono/timeout';
import { sql } from 'kysely';
import type { Api } from './api.ts';
import { authenticate } from './auth/authenticate.ts';
import { guarded, operationsOf } from './auth/guard.ts';
import type { Operation } from './auth/operation.ts';
import { BODY_LIMIT } from './body.ts';
import { debugRoutes } from './debug/routes.ts';
import { discoveryRoutes } from './discovery.ts';
import { EventStreams } from './event-streams.ts';
import { Fault, faultBody, toFault } from './fault.ts';
import { acceptJson } from './media.ts';
import { openApiRoutes } from './openapi/routes.ts';
import { servedAt } from './public-url.ts';
import { requestLog } from './request-log.ts';
import { actorRoutes } from './v2/actors.ts';
import { amphoraRoutes } from './v2/amphorae.ts';
import { availabilityZoneProfileRoutes } from './v2/availability-zone-profiles.ts';
import { availabilityZoneRoutes } from './v2/availability-zones.ts';
import { eventRoutes } from './v2/events.ts';
import { failoverRoutes } from './v2/failovers.ts';
import { flavorProfileRoutes } from './v2/flavor-profiles.ts';
import { flavorRoutes } from './v2/flavors.ts';
import { healthMonitorRoutes } from './v2/health-monitors.ts';
import { l7PolicyRoutes } from './v2/l7-policies.ts';
import { l7RuleRoutes } from './v2/l7-rules.ts';
import { listenerRoutes } from './v2/listeners.ts';
import { loadBalancerRoutes } from './v2/load-balancers.ts';
import { lookupRoutes } from './v2/lookups.ts';
import { memberRoutes } from './v2/members.ts';
import { networkRoutes } from './v2/networks.ts';
import { nodeRoutes } from './v2/nodes.ts';
import { poolRoutes } from './v2/pools.ts';
import { providerRoutes } from './v2/providers.ts';
import { quotaRoutes } from './v2/quotas.ts';

export type { Api } from './api.ts';
export { sweepVipIntents } from './vip.ts';

const VERSIONS = ['/v2', '/v2.0'];
const METHODS = ['DELETE', 'GET', 'POST', 'PUT'];

/**
 * The REST API as a Hono app: Octavia's v2 below `/v2` and `/v2.0`, each also below `/lbaas`, and what is our own below
 * `/v2.0/amphorae`. Serve it with `serveApi`, or call it in-process with `app.request(...)`.
 */
export function createApi(api: Api): Hono {
  const app = new Hono({ getPath: canonicalPath });
  app.use(contextStorage(), requestLog(api.log), servedAt(api.config.api_base_uri));
  app.onError((error, context) => answerFault(context, error));
  app.notFound((context) => answerFault(context, missingRoute(app, context)));

  const requestMs = api.config.api_request_seconds * 1000;
  app.use(timeout(requestMs, new HTTPException(503, { message: 'The request took too long.' })));
  const streams = new EventStreams(streamLimits(api), api.ending);
  // Browsers log in in a way of their own.
  app.route('/debug', debugRoutes(api, streams));
  app.use(authenticate(api));
  app.get('/healthcheck', (context) => healthcheck(api, context));
  app.get('/load-balancer/healthcheck', (context) => healthcheck(api, context));
  const operations: Operation[] = [];
  app.route('/', openApiRoutes(operations));

  const look = async (path: string, { req, env }: Context) =>
    app.request(path, { headers: req.header() }, env);
  const guard = <E extends Env>(base: string, routes: Hono<E>) => {
    operations.push(...operationsOf(base, routes));
    return guarded(api, base, routes, look);
  };
  const events = guard('/events', eventRoutes(api, streams));
  for (const version of VERSIONS) app.route(`${version}/events`, events);
  app.use(acceptJson, onlyKnownMethods, limitedBody);
  app.route('/', discoveryRoutes());
  app.route('/load-balancer', discoveryRoutes());

  const resources = guard('/lbaas', resourceRoutes(api));
  const others = {
    '/octavia/amphorae': guard('/octavia/amphorae', amphoraRoutes(api)),
    '/amphorae/networks': guard('/amphorae/networks', networkRoutes(api)),
    '/amphorae/actors': guard('/amphorae/actors', actorRoutes(api)),
    '/amphorae/failovers': guard('/amphorae/failovers', failoverRoutes(api)),
    '/amphorae/nodes': guard('/amphorae/nodes', nodeRoutes(api)),
  };
  for (const version of VERSIONS) {
    for (const base of [version, `${version}/lbaas`])
      app.get(base, (context) => context.json('v2')).route(base, resources);
    app.get(`${version}/octavia`, (context) => context.json('v2'));
    if (api.access === undefined) app.route(version, lookupRoutes(api));
    for (const [base, routes] of Object.entries(others)) app.route(`${version}${base}`, routes);
  }
  return app;
}

function streamLimits({ config }: Api) {
  return {
    total: config.event_streams,
    perHolder: config.event_streams_per_project,
    longestMs: config.event_stream_seconds * 1000,
  };
}

function resourceRoutes(api: Api): Hono {
  return new Hono()
    .route('/loadbalancers', loadBalancerRoutes(api))
    .route('/listeners', listenerRoutes(api))
    .route('/pools', poolRoutes(api))
    .route('/pools/:poolId/members', memberRoutes(api))
    .route('/healthmonitors', healthMonitorRoutes(api))
    .route('/l7policies', l7PolicyRoutes(api))
    .route('/l7policies/:policyId/rules', l7RuleRoutes(api))
    .route('/flavors', flavorRoutes(api))
    .route('/flavorprofiles', flavorProfileRoutes(api))
    .route('/availabilityzones', availabilityZoneRoutes(api))
    .route('/availabilityzoneprofiles', availabilityZoneProfileRoutes(api))
    .route('/quotas', quotaRoutes(api))
    .route('/providers', providerRoutes(api));
}

/** A trailing slash and a `.json` suffix mean nothing. */
function canonicalPath(request: Request): string {
  const { pathname } = new URL(request.url);
  return pathname.replace(/(\.json)?\/*$/, '') || '/';
}

async function healthcheck({ db }: Api, context: Context): Promise<Response> {
  await sql`select 1`.execute(db);
  return context.text('OK');
}

const onlyKnownMethods: MiddlewareHandler = async (context, next) => {
  const { method } = context.req;
  if (method === 'OPTIONS') return context.body(null, 200);
  if (!METHODS.includes(method)) throw methodNotAllowed(METHODS);
  await next();
};

const methodNotAllowed = (allowed: string[]) =>
  new Fault(405, 'The method is not allowed for this resource.', { Allow: allowed.join(', ') });

/** Asking whether a request has a body makes an object of it that is costly, and that a GET has no other use for. */
const limitedBody: MiddlewareHandler = (context, next) =>
  context.req.method === 'GET' ? next() : limitBody(context, next);

const tooLarge = () => {
  throw new Fault(413, `The request body is larger than ${BODY_LIMIT} bytes.`);
};

const limitBody = bodyLimit({ maxSize: BODY_LIMIT, onError: tooLarge });

/** 405 where another method would have been answered, else 404. */
function missingRoute(app: Hono, context: Context): Fault {
  const allowed = METHODS.filter((method) => {
    const [handlers] = app.router.match(method, context.req.path);
    return handlers.some(([[, route]]) => route.method === method);
  });
  return allowed.length > 0
    ? methodNotAllowed(allowed)
    : new Fault(404, `There is nothing at ${context.req.path}.`);
}

function answerFault(context: Context, error: Error): Response {
  const fault = toFault(error);
  if (fault === undefined || fault.status >= 500) {
    context
      .get('log')
      .error({ err: error, method: context.req.method, path: context.req.path }, 'request failed');
  }
  const { status, message, headers } =
    fault ?? new Fault(500, 'An internal error occurred; the log has the details.');
  return context.json(faultBody(status, message), status, headers);
}
