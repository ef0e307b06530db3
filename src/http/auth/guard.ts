import { type Context, type Env, Hono, type MiddlewareHandler } from 'hono';
import { isUuid } from '../../store/list.ts';
import { findProject } from '../../store/projects.ts';
import type { Api } from '../api.ts';
import { peekBody } from '../body.ts';
import { Fault, notFound } from '../fault.ts';
import { idempotent } from '../idempotency.ts';
import { queryFlag } from '../list.ts';
import type { Access } from './authenticate.ts';
import type { Caller } from './caller.ts';
import { type ObjectKind, type Operation, operationOf } from './operation.ts';

/**
 * What each of these routes does. Whoever adds a route that has no policy hears of it at start.
 * @param base where they are mounted, below the version.
 */
export function operationsOf<E extends Env>(
  base: string,
  routes: Hono<E>,
): (Operation & { route: string })[] {
  const known = new Map<string, Operation & { route: string }>();
  for (const { method, path: route } of routes.routes) {
    if (method === 'ALL' || known.has(`${method} ${route}`)) continue;
    known.set(`${method} ${route}`, {
      ...operationOf(method, `${base}${route === '/' ? '' : route}`),
      route,
    });
  }
  return [...known.values()];
}

/** The same routes, each behind the policy of its operation. */
export function guarded<E extends Env>(
  api: Api,
  base: string,
  routes: Hono<E>,
  look: Parameters<typeof idempotent>[1],
): Hono {
  const guards = new Hono();
  for (const operation of operationsOf(base, routes)) {
    guards.on(operation.method, operation.route, guard(api, operation));
    if (operation.method === 'POST') guards.post(operation.route, idempotent(api, look));
  }
  return guards.route('/', routes);
}

/** 404 for what is not there, then 403 for what the caller may not do to it (contract A5); then the route itself. */
function guard(api: Api, operation: Operation): MiddlewareHandler {
  return async (context, next) => {
    if (api.access !== undefined) await authorize(api, api.access, operation, context);
    await next();
  };
}

async function authorize(api: Api, access: Access, operation: Operation, context: Context): Promise<void> {
  const caller = context.get('caller');
  const { target } = operation;
  const actions = await actionsIn(context, operation);
  const enforce = (projectId: string) => {
    if (!actions.every((action) => allows(access, caller, action, projectId))) throw forbidden();
  };

  switch (target.kind) {
    case 'caller':
      return enforce(caller.projectId);
    case 'project':
      return enforce(parameterOf(context, target.parameter));
    case 'object':
      enforce(await projectOf(api, target.of, parameterOf(context, target.parameter)));
      break;
    case 'list': {
      if (allows(access, caller, target.global, undefined)) return;
      const [asked] = context.req.queries('project_id') ?? [];
      const scope = asked ?? caller.projectId;
      enforce(scope);
      return context.set('projectScope', scope);
    }
    case 'body': {
      const { project_id, tenant_id } = await objectIn(context, target.root);
      const projectId = project_id ?? tenant_id;
      // What is no text is refused when the body is checked.
      enforce(typeof projectId === 'string' ? projectId : caller.projectId);
      break;
    }
    case 'references': {
      const body = await objectIn(context, target.root);
      const named = Object.entries(target.attributes).filter(([attribute]) => isReference(body[attribute]));
      for (const [attribute, of] of named) enforce(await projectOf(api, of, String(body[attribute])));
      // As above.
      if (named.length === 0) enforce(caller.projectId);
    }
  }
}

/** Whether policy allows an action, on what belongs to a project if that matters. */
export function allows(
  access: Access,
  { subject }: Caller,
  action: string,
  projectId: string | undefined,
): boolean {
  if (subject === undefined) return true;
  return access.policy.allows(action, subject, projectId === undefined ? {} : { project_id: projectId });
}

/** The actions of the route, with what it depends on in the request. */
async function actionsIn(
  context: Context,
  { method, actions, resource, path }: Operation,
): Promise<string[]> {
  if (resource?.policy === 'loadbalancer' && (method === 'POST' || path === '/lbaas/loadbalancers/{id}')) {
    const { vip_sg_ids: groups } = await objectIn(context, resource.root);
    return groups ? [...actions, `${actions[0]}:vip_sg_ids`] : actions;
  }
  // The list of members that a batch leaves out are deleted.
  if (resource?.policy === 'member' && method === 'PUT' && path === resource.path) {
    return queryFlag(context, 'additive_only') ? actions : [...actions, 'os_load-balancer_api:member:delete'];
  }
  return actions;
}

function parameterOf(context: Context, name: string): string {
  return context.req.param(name) ?? '';
}

async function projectOf({ db }: Api, { table, title }: ObjectKind, id: string): Promise<string> {
  const projectId = isUuid(id) ? await findProject(db, table, id.toLowerCase()) : undefined;
  if (projectId === undefined) throw notFound(title, id);
  return projectId;
}

/** What the body holds under `root`; nothing when it is none, which is refused when it is checked. */
async function objectIn(context: Context, root: string): Promise<Record<string, unknown>> {
  const body = await peekBody(context);
  const object = isObject(body) ? body[root] : undefined;
  return isObject(object) ? object : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isReference(value: unknown): boolean {
  return typeof value === 'string' && isUuid(value);
}

const forbidden = () => new Fault(403, 'Policy does not allow this request to be performed.');
