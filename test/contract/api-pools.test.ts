import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const PATH = '/v2/lbaas/pools';
const { id: loadbalancer_id } = await api.createLoadBalancer();
const base = { loadbalancer_id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
let lastPort = 1000;

async function create(attributes: object = {}) {
  const pool = await api.expect(201, 'POST', PATH, { pool: { ...base, ...attributes } });
  await api.settle();
  return pool;
}

async function createListener(attributes: object = {}) {
  const listener = { loadbalancer_id, protocol: 'HTTP', protocol_port: ++lastPort, ...attributes };
  const { id } = await api.expect(201, 'POST', '/v2/lbaas/listeners', { listener });
  await api.settle();
  return id;
}

const lastEvent = () => api.published.at(-1)?.event as { memberPorts?: boolean };

const listenerStatus = async (id: string) =>
  (await api.send('GET', `/v2/lbaas/listeners/${id}`)).body.listener.provisioning_status;

test('a created pool has every attribute, without healthmonitor_id while it has none', async () => {
  const { id, created_at, ...rest } = await api.expect(201, 'POST', PATH, {
    pool: { ...base, session_persistence: { type: 'APP_COOKIE', cookie_name: 'sid' } },
  });
  assert.ok(id && created_at);
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
    protocol: 'HTTP',
    lb_algorithm: 'ROUND_ROBIN',
    session_persistence: {
      type: 'APP_COOKIE',
      cookie_name: 'sid',
      persistence_timeout: null,
      persistence_granularity: null,
    },
    tls_enabled: false,
    tls_container_ref: null,
    ca_tls_container_ref: null,
    crl_container_ref: null,
    tls_ciphers: null,
    tls_versions: null,
    alpn_protocols: null,
    loadbalancers: [{ id: loadbalancer_id }],
    listeners: [],
    members: [],
  });
  await api.settle();
});

test('invalid pools are refused by name', async () => {
  const other = await api.createLoadBalancer();
  const tcp = await createListener({ protocol: 'TCP' });
  const https = await createListener({ protocol: 'HTTPS' });
  const persistence = (session_persistence: object) => ({ session_persistence });
  const cases: [number, RegExp, object][] = [
    [400, /loadbalancer_id or listener_id/, { loadbalancer_id: null }],
    [404, /Load Balancer .* not found/, { loadbalancer_id: randomUUID() }],
    [404, /Listener .* not found/, { loadbalancer_id: null, listener_id: randomUUID() }],
    [400, /listener_id.*does not belong/, { loadbalancer_id: other.id, listener_id: tcp }],
    [400, /HTTPS cannot use a pool of protocol HTTP/, { listener_id: https }],
    [400, /attribute protocol\..*one of/, { protocol: 'TERMINATED_HTTPS' }],
    [400, /attribute lb_algorithm\..*one of/, { lb_algorithm: 'RANDOM' }],
    [400, /crl_container_ref/, { crl_container_ref: 'x' }],
    [400, /attribute session_persistence\.type/, persistence({ cookie_name: 'x' })],
    [400, /APP_COOKIE needs cookie_name/, persistence({ type: 'APP_COOKIE' })],
    [400, /cookie_name is for APP_COOKIE/, persistence({ type: 'SOURCE_IP', cookie_name: 'x' })],
    [400, /session_persistence\.cookie_name/, persistence({ type: 'APP_COOKIE', cookie_name: 'a;b' })],
    [400, /session_persistence\.cookie_name/, persistence({ type: 'APP_COOKIE', cookie_name: 'a\ud800' })],
    [400, /UDP and SCTP pools only/, persistence({ type: 'SOURCE_IP', persistence_timeout: 5 })],
    [400, /takes SOURCE_IP only/, { protocol: 'UDP', ...persistence({ type: 'HTTP_COOKIE' }) }],
    [
      400,
      /persistence_granularity/,
      { protocol: 'UDP', ...persistence({ type: 'SOURCE_IP', persistence_granularity: 'x' }) },
    ],
    [400, /Unknown attribute for pool: members/, { members: [] }],
    [400, /Unknown attribute for pool: healthmonitor/, { healthmonitor: {} }],
  ];
  for (const [status, text, attributes] of cases) {
    await api.refuse(status, text, 'POST', PATH, { pool: { ...base, ...attributes } });
  }
});

test('every algorithm is taken', async () => {
  for (const lb_algorithm of ['ROUND_ROBIN', 'LEAST_CONNECTIONS', 'SOURCE_IP', 'SOURCE_IP_PORT'])
    assert.is((await create({ lb_algorithm })).lb_algorithm, lb_algorithm);
});

test('a pool for a listener becomes its default pool and locks it', async () => {
  const listener_id = await createListener();
  const pool = await api.expect(201, 'POST', PATH, { pool: { ...base, loadbalancer_id: null, listener_id } });
  assert.equal([pool.loadbalancers, pool.listeners], [[{ id: loadbalancer_id }], [{ id: listener_id }]]);
  assert.is(await listenerStatus(listener_id), 'PENDING_UPDATE');
  await api.settle();
  await api.refuse(409, /already has a default pool/, 'POST', PATH, { pool: { ...base, listener_id } });
});

test('an update locks the listeners that use the pool, but not one in ERROR', async () => {
  const { id } = await create({ session_persistence: { type: 'SOURCE_IP' } });
  const used = await createListener({ default_pool_id: id });
  const broken = await createListener({ default_pool_id: id });
  await api.db
    .updateTable('listeners')
    .set({ provisioning_status: 'ERROR' })
    .where('id', '=', broken)
    .execute();

  const updated = await api.expect(200, 'PUT', `${PATH}/${id}`, { pool: { lb_algorithm: 'SOURCE_IP' } });
  assert.equal([updated.lb_algorithm, updated.session_persistence.type], ['SOURCE_IP', 'SOURCE_IP']);
  assert.equal([await listenerStatus(used), await listenerStatus(broken)], ['PENDING_UPDATE', 'ERROR']);
  const { revision } = await api.db
    .selectFrom('listeners')
    .select('revision')
    .where('id', '=', used)
    .executeTakeFirstOrThrow();
  const pool = await api.db
    .selectFrom('pools')
    .select('revision')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  assert.ok(revision < pool.revision, 'what is only locked keeps its own revision');
  await api.settle();

  const removed = await api.expect(200, 'PUT', `${PATH}/${id}`, { pool: { session_persistence: null } });
  assert.is(removed.session_persistence, null);
  await api.settle();
  for (const [text, pool] of [
    [/session_persistence\.type/, { session_persistence: {} }],
    [/lb_algorithm/, { lb_algorithm: null }],
    [/Unknown attribute for pool: protocol/, { protocol: 'TCP' }],
  ] as const) {
    await api.refuse(400, text, 'PUT', `${PATH}/${id}`, { pool });
  }
  await api.refuse(404, /Pool .* not found/, 'PUT', `${PATH}/${randomUUID()}`, { pool: {} });
});

test('deletion says whether ports have to go with the members', async () => {
  const plain = await create();
  const member = { address: '10.0.0.1', protocol_port: 80 };
  await api.expect(201, 'POST', `${PATH}/${plain.id}/members`, { member });
  await api.settle();
  await api.expect(204, 'DELETE', `${PATH}/${plain.id}`);
  assert.is(lastEvent().memberPorts, false);
  await api.settle();

  const { id } = await create();
  await api.expect(201, 'POST', `${PATH}/${id}/members`, { member: { ...member, subnet_id: randomUUID() } });
  await api.settle();
  await api.expect(204, 'DELETE', `${PATH}/${id}`);
  assert.is(lastEvent().memberPorts, true);
  await api.settle();
  await api.refuse(404, /Pool .* not found/, 'GET', `${PATH}/${id}`);
  await api.refuse(404, /Pool .* not found/, 'GET', `${PATH}/${id}/members`);
});

test.run();
