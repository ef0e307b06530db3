import type { ProjectTable } from '../../store/projects.ts';
import type { ResourceName } from '../fault.ts';
import { type ResourceDescription, resources } from '../resources.ts';

/** What one route does, and whose object it does it to. */
export interface Operation {
  method: string;
  /** As clients write it, with parameters in braces: `/lbaas/pools/{pool_id}/members/{id}`. */
  path: string;
  /** Actions of the policy that it needs, all of them. */
  actions: string[];
  target: OperationTarget;
  /** Undefined for what is not an object of Octavia's registry. */
  resource: ResourceDescription | undefined;
}

export interface ObjectKind {
  table: ProjectTable;
  title: ResourceName;
}

/** Where the project that an operation concerns is found. */
export type OperationTarget =
  /** Nothing of a project: the caller's own counts. */
  | { kind: 'caller' }
  /** The object whose id is a parameter of the route. */
  | { kind: 'object'; parameter: string; of: ObjectKind }
  /** The objects that attributes of the body name. */
  | { kind: 'references'; root: string; attributes: Record<string, ObjectKind> }
  /** The project that the body names, or else the caller's. */
  | { kind: 'body'; root: string }
  /** The project whose id is a parameter of the route. */
  | { kind: 'project'; parameter: string }
  /** Every project, or the one that the query names: `global` is the action that needs no project. */
  | { kind: 'list'; global: string };

const loadBalancer: ObjectKind = { table: 'load_balancers', title: 'Load Balancer' };
const listener: ObjectKind = { table: 'listeners', title: 'Listener' };
const pool: ObjectKind = { table: 'pools', title: 'Pool' };
const l7Policy: ObjectKind = { table: 'l7policies', title: 'L7 Policy' };

/** Objects that belong to a project; `parent` is in the path, `references` are in the body of a POST. */
const owned: Record<
  string,
  { of: ObjectKind; parent?: ObjectKind; references?: Record<string, ObjectKind> }
> = {
  loadbalancer: { of: loadBalancer },
  listener: { of: listener, references: { loadbalancer_id: loadBalancer } },
  pool: { of: pool, references: { loadbalancer_id: loadBalancer, listener_id: listener } },
  member: { of: { table: 'members', title: 'Member' }, parent: pool },
  healthmonitor: {
    of: { table: 'health_monitors', title: 'Health Monitor' },
    references: { pool_id: pool },
  },
  l7policy: { of: l7Policy, references: { listener_id: listener } },
  l7rule: { of: { table: 'l7rules', title: 'L7 Rule' }, parent: l7Policy },
};

/** The last part of a path below an object, as actions call it. */
const subVerbs: Record<string, string> = {
  stats: 'get_stats',
  status: 'get_status',
  statuses: 'get_status',
  failover: 'put_failover',
  config: 'put_config',
  default: 'get_defaults',
};

const collectionVerbs: Record<string, string[]> = {
  GET: ['get_all'],
  POST: ['post'],
  // A list of members that replaces the one that is there.
  PUT: ['post', 'put'],
};

/** Actions of the policy for status events: those of the caller's project, and all. */
export const EVENT_ACTIONS = {
  own: 'amphorae_api:event:get_all',
  global: 'amphorae_api:event:get_all-global',
};

/** Routes of no registered object, by the beginning of their path. */
const others: [prefix: string, action: string, target: OperationTarget][] = [
  ['/amphorae/networks', 'amphorae_api:network', { kind: 'caller' }],
  ['/amphorae/actors', 'amphorae_api:actor', { kind: 'caller' }],
  ['/amphorae/failovers', 'amphorae_api:actor', { kind: 'caller' }],
  ['/amphorae/nodes', 'amphorae_api:actor', { kind: 'caller' }],
  ['/events', EVENT_ACTIONS.own, { kind: 'list', global: EVENT_ACTIONS.global }],
];

/**
 * What the route `method path` does.
 * @param route as Hono writes it: `/lbaas/pools/:poolId/members`.
 * @throws when nobody has said who may: such a route is not served
 */
export function operationOf(method: string, route: string): Operation {
  const path = route.replace(/:(\w+)/g, (_, name: string) => `{${snakeCase(name)}}`);
  const parameters = [...route.matchAll(/:(\w+)/g)].map(([, name]) => name ?? '');
  const common = { method, path };
  const other = others.find(([prefix]) => path.startsWith(prefix));
  if (other !== undefined) {
    const [, action, target] = other;
    return { ...common, actions: [action], target, resource: undefined };
  }
  const provider = providerAction(method, path);
  if (provider !== undefined) {
    return { ...common, actions: [provider], target: { kind: 'caller' }, resource: undefined };
  }

  const resource = resources.findLast(({ path: base }) =>
    `${shapeOf(path)}/`.startsWith(`${shapeOf(base)}/`),
  );
  const below =
    resource && `/${path.split('/').slice(resource.path.split('/').length).join('/')}`.replace(/\/$/, '');
  const verbs = below === undefined ? undefined : actionsOf(method, below);
  if (resource === undefined || below === undefined || verbs === undefined) {
    throw new Error(`${method} ${route} has no policy: describe it in src/http/auth/operation.ts`);
  }
  const actions = verbs.map((verb) => `os_load-balancer_api:${resource.policy}:${verb}`);
  const target = targetOf(method, below, resource, parameters);
  return { method, path: `${resource.path}${below}`, actions, target, resource };
}

/** A path whatever its parameters are called. */
const shapeOf = (path: string) => path.replace(/\{\w+\}/g, '{}');

function providerAction(method: string, path: string): string | undefined {
  const [, below] = /^\/lbaas\/providers(?:\/\{provider\}\/(\w+))?$/.exec(path) ?? [path, 'unknown'];
  if (method !== 'GET') return undefined;
  if (below === undefined) return 'os_load-balancer_api:provider:get_all';
  if (below === 'flavor_capabilities') return 'os_load-balancer_api:provider-flavor:get_all';
  if (below === 'availability_zone_capabilities')
    return 'os_load-balancer_api:provider-availability-zone:get_all';
  return undefined;
}

/** @param below what of the path follows that of the collection. */
function actionsOf(method: string, below: string): string[] | undefined {
  if (below === '') return collectionVerbs[method];
  if (below === '/defaults') return ['get_defaults'];
  const [, verb] = /^\/\{\w+\}(?:\/(\w+))?$/.exec(below) ?? [below, below];
  if (verb !== undefined) return verb in subVerbs ? [subVerbs[verb] ?? ''] : undefined;
  if (method === 'GET') return ['get_one'];
  return method === 'PUT' || method === 'DELETE' ? [method.toLowerCase()] : undefined;
}

function targetOf(
  method: string,
  below: string,
  resource: ResourceDescription,
  parameters: string[],
): OperationTarget {
  const list: OperationTarget = {
    kind: 'list',
    global: `os_load-balancer_api:${resource.policy}:get_all-global`,
  };
  if (resource.policy === 'quota') {
    if (below === '') return list;
    const [parameter] = parameters;
    return parameter === undefined ? { kind: 'caller' } : { kind: 'project', parameter };
  }
  const kind = owned[resource.policy];
  if (kind === undefined) return { kind: 'caller' };
  const { of, parent, references } = kind;
  if (below !== '') return { kind: 'object', parameter: parameters.at(-1) ?? '', of };
  if (parent !== undefined) return { kind: 'object', parameter: parameters[0] ?? '', of: parent };
  if (method === 'GET') return list;
  return references === undefined
    ? { kind: 'body', root: resource.root }
    : { kind: 'references', root: resource.root, attributes: references };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
