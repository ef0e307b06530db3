// timeout: 300
import { randomUUID } from 'node:crypto';
import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../../src/config.ts';
import { createApi } from '../../src/http/app.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { TerminalError } from '../../src/model/errors.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

// What every request sets at once, and what it leaves when it is in force or was rejected (contract B2, B3): the API on
// real actors and the noop provider.

let runtime: Runtime;
let app: ReturnType<typeof createApi>;
/** Pushes wait for it. */
let gate: Promise<void> | undefined;
/** How many of the next pushes fail. */
let failures = 0;

test.before(async () => {
  runtime = await startRuntime();
  const { db, mailbox, provider } = runtime;
  const log = pino({ level: 'silent' });
  app = createApi({
    db,
    mailbox,
    network: provider.network,
    lvs: provider.lvs,
    config: loadConfig({}, {}),
    log,
  });
  await runtime.startNode('statuses', { effects: gated });
});
test.after(() => runtime.stop());
test.before.each(() => {
  gate = undefined;
  failures = 0;
  runtime.provider.failures.set([]);
});

const rule = { type: 'PATH', compare_type: 'STARTS_WITH', value: '/a' };
const monitor = { type: 'TCP', delay: 5, timeout: 3, max_retries: 2 };
const pool = { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
const member = (port: number) => ({ address: '192.0.2.1', protocol_port: port });

/** A load balancer with one of everything: its id, and the paths of what is below it. */
async function grow() {
  const { loadbalancer } = await send(201, 'POST', '/loadbalancers', {
    loadbalancer: {
      vip_subnet_id: randomUUID(),
      listeners: [
        {
          protocol: 'HTTP',
          protocol_port: 80,
          default_pool: { ...pool, name: 'default', healthmonitor: monitor, members: [member(80)] },
          l7policies: [
            { action: 'REDIRECT_TO_POOL', redirect_pool: { ...pool, name: 'redirect' }, rules: [rule] },
          ],
        },
        { protocol: 'HTTP', protocol_port: 81 },
      ],
    },
  });
  const { id, listeners, pools } = loadbalancer;
  assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE');
  const [listener, other] = listeners.sort(by('protocol_port'));
  const [main, redirect] = pools.sort(by('name'));
  const policy = listener.l7policies[0];
  return {
    id,
    paths: {
      'load balancer': `/loadbalancers/${id}`,
      listener: `/listeners/${listener.id}`,
      'other listener': `/listeners/${other.id}`,
      pool: `/pools/${main.id}`,
      'redirect pool': `/pools/${redirect.id}`,
      member: `/pools/${main.id}/members/${main.members[0].id}`,
      'health monitor': `/healthmonitors/${main.healthmonitor.id}`,
      policy: `/l7policies/${policy.id}`,
      rule: `/l7policies/${policy.id}/rules/${policy.rules[0].id}`,
    },
  };
}

type Name = keyof Awaited<ReturnType<typeof grow>>['paths'];
type Paths = Record<Name, string>;

/** What is not ACTIVE, by name. */
async function unsettled(paths: Paths): Promise<Partial<Record<Name, string>>> {
  const found: [string, string][] = [];
  for (const [name, path] of Object.entries(paths)) {
    const response = await app.request(`/v2/lbaas${path}`);
    const [object] = Object.values(
      (await response.json()) as Record<string, { provisioning_status: string }>,
    );
    const status = response.status === 404 ? 'gone' : (object?.provisioning_status ?? '');
    if (status !== 'ACTIVE') found.push([name, status]);
  }
  return Object.fromEntries(found) as Partial<Record<Name, string>>;
}

const UPDATE = 'PENDING_UPDATE';
const DELETE = 'PENDING_DELETE';
const below = { 'load balancer': UPDATE } as const;
const inListener = { ...below, listener: UPDATE } as const;
const inPool = { ...inListener, pool: UPDATE } as const;

/** Request, what it sets at once, and which object it is about (undefined: a new one). */
const changes: [
  method: string,
  path: (paths: Paths) => string,
  body: (paths: Paths) => object | undefined,
  sets: Partial<Record<Name, string>>,
  about: Name | undefined,
][] = [
  ['PUT', (p) => p['load balancer'], () => ({ loadbalancer: { name: 'x' } }), below, 'load balancer'],
  [
    'POST',
    () => '/listeners',
    (p) => ({ listener: { loadbalancer_id: idOf(p['load balancer']), protocol: 'TCP', protocol_port: 9 } }),
    below,
    undefined,
  ],
  ['PUT', (p) => p.listener, () => ({ listener: {} }), inListener, 'listener'],
  ['DELETE', (p) => p['other listener'], none, { ...below, 'other listener': DELETE }, 'other listener'],
  [
    'POST',
    () => '/pools',
    (p) => ({ pool: { ...pool, loadbalancer_id: idOf(p['load balancer']) } }),
    below,
    undefined,
  ],
  [
    'POST',
    () => '/pools',
    (p) => ({ pool: { ...pool, listener_id: idOf(p['other listener']) } }),
    { ...below, 'other listener': UPDATE },
    undefined,
  ],
  ['PUT', (p) => p.pool, () => ({ pool: {} }), inPool, 'pool'],
  [
    'PUT',
    (p) => p['redirect pool'],
    () => ({ pool: {} }),
    { ...inListener, 'redirect pool': UPDATE },
    'redirect pool',
  ],
  ['POST', (p) => `${p.pool}/members`, () => ({ member: member(81) }), inPool, undefined],
  ['PUT', (p) => p.member, () => ({ member: { weight: 2 } }), { ...inPool, member: UPDATE }, 'member'],
  [
    'PUT',
    (p) => `${p.pool}/members`,
    () => ({ members: [member(80)] }),
    { ...inPool, member: UPDATE },
    'member',
  ],
  ['DELETE', (p) => p.member, none, { ...inPool, member: DELETE }, 'member'],
  [
    'POST',
    () => '/healthmonitors',
    (p) => ({ healthmonitor: { ...monitor, pool_id: idOf(p['redirect pool']) } }),
    { ...inListener, 'redirect pool': UPDATE },
    undefined,
  ],
  [
    'PUT',
    (p) => p['health monitor'],
    () => ({ healthmonitor: { delay: 9 } }),
    { ...inPool, 'health monitor': UPDATE },
    'health monitor',
  ],
  ['DELETE', (p) => p['health monitor'], none, { ...inPool, 'health monitor': DELETE }, 'health monitor'],
  [
    'POST',
    () => '/l7policies',
    (p) => ({ l7policy: { listener_id: idOf(p.listener), action: 'REJECT' } }),
    inListener,
    undefined,
  ],
  ['PUT', (p) => p.policy, () => ({ l7policy: { name: 'x' } }), { ...inListener, policy: UPDATE }, 'policy'],
  ['POST', (p) => `${p.policy}/rules`, () => ({ rule }), { ...inListener, policy: UPDATE }, undefined],
  [
    'PUT',
    (p) => p.rule,
    () => ({ rule: { value: '/b' } }),
    { ...inListener, policy: UPDATE, rule: UPDATE },
    'rule',
  ],
  ['DELETE', (p) => p.rule, none, { ...inListener, policy: UPDATE, rule: DELETE }, 'rule'],
  ['DELETE', (p) => p.policy, none, { ...inListener, policy: DELETE }, 'policy'],
];

test('every change locks what it concerns, and ends with all of it ACTIVE', async () => {
  for (const [method, path, body, sets, about] of changes) {
    const { id, paths } = await grow();
    const open = hold();
    const what = `${method} ${path(paths)} ${JSON.stringify(body(paths))}`;
    const answer = await send(undefined, method, path(paths), body(paths));
    const made = about === undefined ? Object.values<{ provisioning_status: string }>(answer)[0] : undefined;
    if (made) assert.is(made.provisioning_status, 'PENDING_CREATE', what);
    assert.equal(await unsettled(paths), sets, what);
    open();
    assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE', what);
    const left = await unsettled(paths);
    for (const [name, status] of Object.entries(left)) assert.is(status, 'gone', `${what}: ${name}`);
    assert.ok(method === 'DELETE' ? about && left[about] : Object.keys(left).length === 0, what);
  }
});

test('a change that the amphorae refuse leaves its object in ERROR, and everything else ACTIVE', async () => {
  for (const [method, path, body, , about] of changes) {
    if (about === 'load balancer') continue;
    const { id, paths } = await grow();
    const what = `${method} ${path(paths)} ${JSON.stringify(body(paths))}`;
    const open = hold();
    failures = 1;
    await send(undefined, method, path(paths), body(paths));
    open();
    assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE', what);
    assert.equal(await unsettled(paths), about === undefined ? {} : { [about]: 'ERROR' }, what);
  }
});

test('what a load balancer comes with gets the operating status that it would have alone', async () => {
  const { paths } = await grow();
  const operating = async (path: string) =>
    Object.values<{ operating_status: string }>(await send(200, 'GET', path))[0]?.operating_status;
  for (const [name, status] of [
    ['health monitor', 'ONLINE'],
    ['policy', 'ONLINE'],
    ['rule', 'ONLINE'],
    ['load balancer', 'OFFLINE'],
    ['listener', 'OFFLINE'],
    ['pool', 'OFFLINE'],
    ['member', 'OFFLINE'],
  ] as const)
    assert.is(await operating(paths[name]), status, name);

  const settle = () => runtime.waitFor(idOf(paths['load balancer']), ['ACTIVE', 'ERROR']);
  for (const [name, root] of [
    ['health monitor', 'healthmonitor'],
    ['policy', 'l7policy'],
    ['rule', 'rule'],
  ] as const) {
    await send(200, 'PUT', paths[name], { [root]: { admin_state_up: false } });
    assert.is(await settle(), 'ACTIVE');
    assert.is(await operating(paths[name]), 'OFFLINE', name);
  }
  await send(204, 'DELETE', paths['health monitor']);
  assert.is(await settle(), 'ACTIVE');
  assert.is(await operating(paths.member), 'NO_MONITOR');
});

test('a load balancer whose creation failed is in ERROR, takes no changes, and comes up by failover', async () => {
  runtime.provider.failures.set(['createServer:placement']);
  const { loadbalancer } = await send(201, 'POST', '/loadbalancers', {
    loadbalancer: {
      vip_subnet_id: randomUUID(),
      listeners: [{ protocol: 'HTTP', protocol_port: 80 }],
    },
  });
  assert.is(await runtime.waitFor(loadbalancer.id, ['ACTIVE', 'ERROR']), 'ERROR');
  const path = `/loadbalancers/${loadbalancer.id}`;
  assert.is((await send(200, 'GET', path)).loadbalancer.provisioning_error.code, 'noop_failure');
  await send(409, 'PUT', path, { loadbalancer: {} });
  await send(409, 'PUT', `/listeners/${loadbalancer.listeners[0].id}`, { listener: {} });
  runtime.provider.failures.set([]);
  await send(202, 'PUT', `${path}/failover`);
  assert.is(await runtime.waitFor(loadbalancer.id, ['ACTIVE', 'ERROR']), 'ACTIVE');
  const { listener } = await send(200, 'GET', `/listeners/${loadbalancer.listeners[0].id}`);
  assert.is(listener.provisioning_status, 'ACTIVE', 'failover activates the tree');
  await send(204, 'DELETE', `${path}?cascade=true`);
  await runtime.waitFor(loadbalancer.id, ['DELETED']);
  await send(404, 'GET', path);
});

function none(): undefined {
  return undefined;
}

function idOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function by(key: string) {
  return (left: Record<string, string>, right: Record<string, string>) =>
    String(left[key]).localeCompare(String(right[key]));
}

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes.
async function send(status: number | undefined, method: string, path: string, body?: object): Promise<any> {
  const response = await app.request(`/v2/lbaas${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const expected = status ?? (response.status < 300 ? response.status : 0);
  assert.is(response.status, expected, `${method} ${path}: ${text}`);
  return text && JSON.parse(text);
}

/** Pushes wait until the returned function is called. */
function hold(): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  return () => {
    gate = undefined;
    resolve();
  };
}

function gated(effects: Effects): Effects {
  const { pushConfig } = effects;
  return {
    ...effects,
    pushConfig: {
      ...pushConfig,
      run: async (input, context) => {
        await gate;
        if (failures > 0) {
          failures -= 1;
          throw new TerminalError('refused', 'the test refuses this push');
        }
        return pushConfig.run(input, context);
      },
    },
  };
}

test.run();
