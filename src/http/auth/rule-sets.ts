/**
 * Who may, as rules (contract A5). A rule set says what the classes of actions need; the names of the classes are Octavia's,
 * so that policy files written for it work here.
 */
const OWNER = { 'load-balancer:owner': 'project_id:%(project_id)s' };

/** Keystone's own roles: reader, member, admin, service. */
const keystoneRoles = {
  context_is_admin: 'role:admin',
  ...OWNER,
  'load-balancer:admin': 'is_admin:True',
  'load-balancer:read':
    '((role:reader or role:member) and rule:load-balancer:owner) or rule:load-balancer:admin',
  'load-balancer:read-global': 'rule:load-balancer:admin',
  'load-balancer:write': '(role:member and rule:load-balancer:owner) or rule:load-balancer:admin',
  'load-balancer:read-quota': 'rule:load-balancer:read',
  'load-balancer:read-quota-global': 'rule:load-balancer:admin',
  'load-balancer:write-quota': 'rule:load-balancer:admin',
};

/** The older roles of Octavia's own. */
const loadBalancerRoles = {
  context_is_admin: 'role:admin or role:load-balancer_admin',
  ...OWNER,
  'load-balancer:admin': 'is_admin:True',
  'load-balancer:observer_and_owner': 'role:load-balancer_observer and rule:load-balancer:owner',
  'load-balancer:member_and_owner': 'role:load-balancer_member and rule:load-balancer:owner',
  'load-balancer:global_observer': 'role:load-balancer_global_observer',
  'load-balancer:quota-admin': 'role:load-balancer_quota_admin',
  'load-balancer:read-global': 'rule:load-balancer:global_observer or rule:load-balancer:admin',
  'load-balancer:write': 'rule:load-balancer:member_and_owner or rule:load-balancer:admin',
  'load-balancer:read':
    'rule:load-balancer:observer_and_owner or rule:load-balancer:member_and_owner or rule:load-balancer:read-global',
  'load-balancer:read-quota': 'rule:load-balancer:read or rule:load-balancer:quota-admin',
  'load-balancer:read-quota-global': 'rule:load-balancer:read-global or rule:load-balancer:quota-admin',
  'load-balancer:write-quota': 'rule:load-balancer:quota-admin or rule:load-balancer:admin',
};

/** No roles but admin: whoever is in the project may. */
const ownerOrAdmin = {
  context_is_admin: 'role:admin or role:load-balancer_admin',
  ...OWNER,
  'load-balancer:admin': 'is_admin:True',
  'load-balancer:read': 'rule:load-balancer:owner or rule:load-balancer:admin',
  'load-balancer:read-global': 'rule:load-balancer:admin',
  'load-balancer:write': 'rule:load-balancer:owner or rule:load-balancer:admin',
  'load-balancer:read-quota': 'rule:load-balancer:owner or rule:load-balancer:admin',
  'load-balancer:read-quota-global': 'rule:load-balancer:admin',
  'load-balancer:write-quota': 'rule:load-balancer:admin',
};

export const ruleSets = {
  keystone: keystoneRoles,
  'load-balancer': loadBalancerRoles,
  owner: ownerOrAdmin,
} satisfies Record<string, Record<string, string>>;
export type RuleSetName = keyof typeof ruleSets;

const read = 'rule:load-balancer:read';
const write = 'rule:load-balancer:write';
const admin = 'rule:load-balancer:admin';

const object = {
  get_all: read,
  'get_all-global': 'rule:load-balancer:read-global',
  get_one: read,
  post: write,
  put: write,
  delete: write,
};
const offer = { get_all: read, get_one: read, post: admin, put: admin, delete: admin };
const profile = { get_all: admin, get_one: admin, post: admin, put: admin, delete: admin };

/** What each action needs, by resource. */
const octavia = {
  loadbalancer: {
    ...object,
    get_stats: read,
    get_status: read,
    put_failover: admin,
    'post:vip_sg_ids': write,
    'put:vip_sg_ids': write,
  },
  listener: { ...object, get_stats: read },
  pool: object,
  member: { ...object, get_all: `${read} or role:service` },
  healthmonitor: object,
  l7policy: object,
  l7rule: object,
  quota: {
    get_all: 'rule:load-balancer:read-quota',
    'get_all-global': 'rule:load-balancer:read-quota-global',
    get_one: 'rule:load-balancer:read-quota',
    get_defaults: 'rule:load-balancer:read-quota',
    put: 'rule:load-balancer:write-quota',
    delete: 'rule:load-balancer:write-quota',
  },
  provider: { get_all: read },
  'provider-flavor': { get_all: admin },
  'provider-availability-zone': { get_all: admin },
  flavor: offer,
  'flavor-profile': profile,
  'availability-zone': offer,
  'availability-zone-profile': profile,
  amphora: {
    get_all: admin,
    get_one: admin,
    get_stats: admin,
    put_config: admin,
    put_failover: admin,
    delete: admin,
  },
};

/** The default rule of each action, by its full name. */
export const actionRules: Record<string, string> = {
  ...Object.fromEntries(
    Object.entries(octavia).flatMap(([resource, actions]) =>
      Object.entries(actions).map(([action, rule]) => [`os_load-balancer_api:${resource}:${action}`, rule]),
    ),
  ),
  'amphorae_api:network': admin,
  'amphorae_api:actor': admin,
  'amphorae_api:event:get_all': read,
  'amphorae_api:event:get_all-global': 'rule:load-balancer:read-global',
};
