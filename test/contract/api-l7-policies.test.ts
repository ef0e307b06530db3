import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const PATH = '/v2/lbaas/l7policies';
const LISTENERS = '/v2/lbaas/listeners';
const url = 'http://www.example.com/a?b=c';
const { id: loadbalancer_id } = await api.createLoadBalancer();
let lastPort = 1000;

async function createListener(protocol = 'HTTP'): Promise<string> {
  const listener = { loadbalancer_id, protocol, protocol_port: ++lastPort };
  const { id } = await api.expect(201, 'POST', LISTENERS, { listener });
  await api.settle();
  return id;
}

async function createPool(attributes: object = {}): Promise<string> {
  const pool = { loadbalancer_id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', ...attributes };
  const { id } = await api.expect(201, 'POST', '/v2/lbaas/pools', { pool });
  await api.settle();
  return id;
}

async function create(attributes: object = {}) {
  const l7policy = { listener_id: await createListener(), action: 'REJECT', ...attributes };
  const policy = await api.expect(201, 'POST', PATH, { l7policy });
  await api.settle();
  return policy;
}

const change = (id: string, l7policy: object) => api.expect(200, 'PUT', `${PATH}/${id}`, { l7policy });
const { show } = api;

test('a created policy has every attribute', async () => {
  const listener_id = await createListener();
  const l7policy = { listener_id, action: 'REDIRECT_TO_URL', redirect_url: url, project_id: 'ignored' };
  const { id, created_at, ...rest } = await api.expect(201, 'POST', PATH, { l7policy });
  assert.ok(created_at);
  assert.equal(rest, {
    name: '',
    description: '',
    project_id: 'default',
    tenant_id: 'default',
    admin_state_up: true,
    provisioning_status: 'PENDING_CREATE',
    operating_status: 'OFFLINE',
    provisioning_error: null,
    tags: [],
    updated_at: null,
    listener_id,
    action: 'REDIRECT_TO_URL',
    position: 1,
    redirect_pool_id: null,
    redirect_url: url,
    redirect_prefix: null,
    redirect_http_code: 302,
    rules: [],
  });
  assert.is((await show(`${LISTENERS}/${listener_id}`)).provisioning_status, 'PENDING_UPDATE');
  await api.settle();
  assert.equal((await show(`${LISTENERS}/${listener_id}`)).l7policies, [{ id }]);
  assert.is((await show(`${PATH}/${id}`)).id, id);
  assert.is((await api.send('GET', `${PATH}?action=REDIRECT_TO_URL`)).body.l7policies[0].id, id);
  assert.is((await api.send('GET', `${PATH}?listener_id=${listener_id}`)).body.l7policies.length, 1);
});

test('a policy keeps the target of its action and drops the others', async () => {
  const pool = await createPool();
  const targets = { redirect_pool_id: pool, redirect_url: url, redirect_prefix: 'https://example.com' };
  for (const [action, code, kept] of [
    ['REJECT', 308, {}],
    ['REDIRECT_TO_POOL', null, { redirect_pool_id: pool }],
    ['REDIRECT_TO_URL', 308, { redirect_url: url }],
    ['REDIRECT_PREFIX', 308, { redirect_prefix: 'https://example.com' }],
  ] as const) {
    const created = await create({ action, redirect_http_code: '308', ...targets });
    const { redirect_pool_id, redirect_url, redirect_prefix } = created;
    const none = { redirect_pool_id: null, redirect_url: null, redirect_prefix: null };
    assert.equal({ redirect_pool_id, redirect_url, redirect_prefix }, { ...none, ...kept }, action);
    assert.is(created.redirect_http_code, code, action);
  }
});

test('a target without an action switches the action', async () => {
  const { id } = await create();
  const pool = await createPool();
  for (const [body, action, code] of [
    [{ redirect_prefix: 'http://a.example' }, 'REDIRECT_PREFIX', 302],
    [{ redirect_http_code: 307 }, 'REDIRECT_PREFIX', 307],
    [{ redirect_pool_id: pool }, 'REDIRECT_TO_POOL', null],
    [{ redirect_url: url }, 'REDIRECT_TO_URL', 302],
    [{ action: 'REJECT', redirect_url: url }, 'REJECT', 302],
  ] as const) {
    const changed = await change(id, body);
    assert.is(changed.action, action);
    assert.is(changed.redirect_http_code, code);
    assert.is(changed.provisioning_status, 'PENDING_UPDATE');
    await api.settle();
  }
  assert.is((await show(`${PATH}/${id}`)).redirect_url, null);
  await api.refuse(400, /needs redirect_pool_id/, 'PUT', `${PATH}/${id}`, {
    l7policy: { action: 'REDIRECT_TO_POOL' },
  });
});

test('positions are dense: what is inserted, moved or removed lets the others follow', async () => {
  const listener_id = await createListener();
  const ids = new Map<string, string>();
  const order = async () => {
    const { l7policies } = (await api.send('GET', `${PATH}?listener_id=${listener_id}&sort=position`)).body;
    assert.equal(
      l7policies.map(({ position }: { position: number }) => position),
      l7policies.map((_: unknown, index: number) => index + 1),
    );
    return l7policies.map(({ name }: { name: string }) => name).join('');
  };
  for (const [name, position, expected] of [
    ['a', undefined, 'a'],
    ['b', 2_147_483_647, 'ab'],
    ['c', 1, 'cab'],
    ['d', 2, 'cdab'],
    ['e', 100, 'cdabe'],
    ['f', null, 'cdabef'],
  ] as const) {
    ids.set(name, (await create({ listener_id, name, position })).id);
    assert.is(await order(), expected);
  }
  for (const [name, position, expected] of [
    ['e', 1, 'ecdabf'],
    ['e', 3, 'cdeabf'],
    ['c', 99, 'deabfc'],
    ['d', null, 'eabfcd'],
  ] as const) {
    await change(ids.get(name) as string, { position });
    await api.settle();
    assert.is(await order(), expected);
  }
  await api.expect(204, 'DELETE', `${PATH}/${ids.get('a')}`);
  assert.is((await show(`${PATH}/${ids.get('b')}`)).position, 2);
  await api.settle();
  assert.is(await order(), 'ebfcd');
  const listener = await show(`${LISTENERS}/${listener_id}`);
  assert.equal(
    listener.l7policies,
    [...'ebfcd'].map((name) => ({ id: ids.get(name) })),
  );
});

test('what makes no sense is refused', async () => {
  const { id, listener_id } = await create();
  const base = { listener_id, action: 'REJECT' };
  const tcp = await createPool({ protocol: 'TCP' });
  const { id: stranger } = await api.createLoadBalancer();
  const foreign = await createPool({ loadbalancer_id: stranger });
  for (const [status, text, l7policy] of [
    [400, /listener_id/, { action: 'REJECT' }],
    [404, /Listener .* not found/, { ...base, listener_id: randomUUID() }],
    [400, /action.*one of/, { ...base, action: 'reject' }],
    [400, /action/, { listener_id }],
    [400, /redirect_url/, { ...base, action: 'REDIRECT_TO_URL' }],
    [400, /redirect_url/, { ...base, action: 'REDIRECT_TO_URL', redirect_url: 'www.example.com' }],
    [400, /redirect_url/, { ...base, action: 'REDIRECT_TO_URL', redirect_url: 'http://a b' }],
    [400, /redirect_url/, { ...base, action: 'REDIRECT_TO_URL', redirect_url: 'http://a\r\nb' }],
    [400, /redirect_url/, { ...base, redirect_url: `http://${'a'.repeat(255)}` }],
    [400, /redirect_prefix/, { ...base, action: 'REDIRECT_PREFIX' }],
    [400, /redirect_http_code/, { ...base, redirect_http_code: 304 }],
    [400, /redirect_pool_id/, { ...base, action: 'REDIRECT_TO_POOL' }],
    [404, /Pool .* not found/, { ...base, action: 'REDIRECT_TO_POOL', redirect_pool_id: randomUUID() }],
    [404, /Pool .* not found/, { ...base, action: 'REDIRECT_TO_POOL', redirect_pool_id: foreign }],
    [400, /cannot use/, { ...base, action: 'REDIRECT_TO_POOL', redirect_pool_id: tcp }],
    [400, /position/, { ...base, position: 0 }],
    [400, /position/, { ...base, position: 2_147_483_648 }],
    [400, /Unknown attribute.*rules/, { ...base, rules: [] }],
    [501, /TCP/, { ...base, listener_id: await createListener('TCP') }],
  ] as const) {
    await api.refuse(status, text, 'POST', PATH, { l7policy });
  }
  for (const l7policy of [{ action: null }, { listener_id }, { redirect_url: 'x' }, { position: -1 }])
    await api.refuse(400, /./, 'PUT', `${PATH}/${id}`, { l7policy });
  await api.refuse(404, /L7 Policy .* not found/, 'PUT', `${PATH}/${randomUUID()}`, { l7policy: {} });
  await api.refuse(404, /L7 Policy .* not found/, 'DELETE', `${PATH}/x`);
});

test('a write locks the load balancer until it is in force', async () => {
  const { id, listener_id } = await create();
  await change(id, {});
  const l7policy = { listener_id, action: 'REJECT' };
  await api.refuse(409, /Load Balancer .* is immutable/, 'POST', PATH, { l7policy });
  await api.refuse(409, /immutable/, 'PUT', `${PATH}/${id}`, { l7policy: {} });
  await api.refuse(409, /immutable/, 'DELETE', `${PATH}/${id}`);
  await api.settle();
});

test('a pool is used by the listeners whose enabled policies with rules send requests to it', async () => {
  const pool = await createPool();
  const { id, listener_id } = await create({ action: 'REDIRECT_TO_POOL', redirect_pool_id: pool });
  const users = async () => (await show(`/v2/lbaas/pools/${pool}`)).listeners;
  const inTree = async () => {
    const { loadbalancer } = await show(`/v2/lbaas/loadbalancers/${loadbalancer_id}/status`);
    const listener = loadbalancer.listeners.find((each: { id: string }) => each.id === listener_id);
    return listener.pools.map((each: { id: string }) => each.id);
  };
  assert.equal([await users(), await inTree()], [[], []]);
  await api.expect(201, 'POST', `${PATH}/${id}/rules`, {
    rule: { type: 'PATH', compare_type: 'STARTS_WITH', value: '/a' },
  });
  await api.settle();
  assert.equal([await users(), await inTree()], [[{ id: listener_id }], [pool]]);

  const member = { address: '192.0.2.1', protocol_port: 80 };
  await api.expect(201, 'POST', `/v2/lbaas/pools/${pool}/members`, { member });
  assert.is((await show(`${LISTENERS}/${listener_id}`)).provisioning_status, 'PENDING_UPDATE');
  await api.settle();
  await change(id, { admin_state_up: false });
  await api.settle();
  assert.equal([await users(), await inTree()], [[], []]);
  await api.refuse(409, /in use by an L7 Policy/, 'DELETE', `/v2/lbaas/pools/${pool}`);
  await api.expect(204, 'DELETE', `${PATH}/${id}`);
  await api.settle();
  await api.expect(204, 'DELETE', `/v2/lbaas/pools/${pool}`);
  await api.settle();
});

test('policies and rules go with their listener', async () => {
  const { id, listener_id } = await create();
  await api.expect(204, 'DELETE', `${LISTENERS}/${listener_id}`);
  await api.settle();
  await api.refuse(404, /L7 Policy/, 'GET', `${PATH}/${id}`);
});

test.run();
