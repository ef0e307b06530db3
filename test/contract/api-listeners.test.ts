import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createApi } from '../../src/http/app.ts';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const PATH = '/v2/lbaas/listeners';
const { id: loadbalancer_id } = await api.createLoadBalancer();
let lastPort = 1000;
const base = () => ({ loadbalancer_id, protocol: 'HTTP', protocol_port: ++lastPort });

async function create(attributes: object = {}) {
  const listener = await api.expect(201, 'POST', PATH, { listener: { ...base(), ...attributes } });
  await api.settle();
  return listener;
}

async function createPool(protocol: string, loadBalancerId = loadbalancer_id): Promise<string> {
  const pool = { loadbalancer_id: loadBalancerId, protocol, lb_algorithm: 'ROUND_ROBIN' };
  const { id } = await api.expect(201, 'POST', '/v2/lbaas/pools', { pool });
  await api.settle();
  return id;
}

test('a created listener has every attribute', async () => {
  const created = await api.expect(201, 'POST', PATH, {
    listener: {
      ...base(),
      protocol_port: '8124',
      allowed_cidrs: ['10.0.0.5/8'],
      insert_headers: { 'X-Forwarded-For': 'true' },
      timeout_client_data: null,
      project_id: 'ignored',
    },
  });
  const { id, created_at, ...rest } = created;
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
    protocol: 'HTTP',
    protocol_port: 8124,
    connection_limit: -1,
    default_pool_id: null,
    insert_headers: { 'X-Forwarded-For': 'true' },
    allowed_cidrs: ['10.0.0.0/8'],
    timeout_client_data: 50000,
    timeout_member_connect: 5000,
    timeout_member_data: 50000,
    timeout_tcp_inspect: 0,
    default_tls_container_ref: null,
    sni_container_refs: [],
    client_ca_tls_container_ref: null,
    client_crl_container_ref: null,
    client_authentication: 'NONE',
    tls_ciphers: null,
    tls_versions: null,
    alpn_protocols: null,
    hsts_max_age: null,
    hsts_include_subdomains: false,
    hsts_preload: false,
    loadbalancers: [{ id: loadbalancer_id }],
    l7policies: [],
  });
  assert.is(api.published.at(-1)?.event.type, 'CHANGED');
  const { loadbalancer } = (await api.send('GET', `/v2/lbaas/loadbalancers/${loadbalancer_id}`)).body;
  assert.is(loadbalancer.provisioning_status, 'PENDING_UPDATE');
  await api.refuse(409, /Load Balancer .* is immutable and cannot be updated/, 'POST', PATH, {
    listener: base(),
  });
  await api.refuse(409, /Load Balancer .* is immutable/, 'DELETE', `${PATH}/${id}`);
  await api.settle();
  assert.is((await api.send('GET', `${PATH}/${id}/stats`)).body.stats.bytes_in, 0);
});

test('invalid listeners are refused by name', async () => {
  const other = await api.createLoadBalancer();
  const [tcp, foreign] = [await createPool('TCP'), await createPool('HTTP', other.id)];
  const cases: [number, RegExp, object][] = [
    [
      400,
      /Invalid input for field\/attribute protocol\. Value: 'X'\. Value should be one of: TCP/,
      { protocol: 'X' },
    ],
    [400, /attribute protocol\..*Mandatory field missing/, { protocol: undefined }],
    [400, /attribute protocol_port.*lower or equal to 65535/, { protocol_port: 65536 }],
    [400, /attribute protocol_port.*greater or equal to 1/, { protocol_port: '0' }],
    [400, /attribute protocol_port/, { protocol_port: true }],
    [400, /attribute protocol_port/, { protocol_port: 80.5 }],
    [400, /attribute protocol_port/, { protocol_port: '0x50' }],
    [400, /attribute loadbalancer_id.*UUID/, { loadbalancer_id: 'lb' }],
    [404, /Load Balancer .* not found/, { loadbalancer_id: randomUUID() }],
    [400, /attribute connection_limit/, { connection_limit: -2 }],
    [400, /attribute timeout_client_data/, { timeout_client_data: 2_073_600_001 }],
    [400, /attribute allowed_cidrs\.0.*CIDR/, { allowed_cidrs: ['10.0.0.0/33'] }],
    [400, /attribute allowed_cidrs.*family/, { allowed_cidrs: ['fd00::/8'] }],
    [400, /attribute insert_headers.*one of: X-Forwarded-For/, { insert_headers: { 'X-Evil': 'true' } }],
    [400, /attribute insert_headers/, { insert_headers: { 'X-Forwarded-For': true } }],
    [
      400,
      /attribute insert_headers.*TCP/,
      { protocol: 'TCP', insert_headers: { 'X-Forwarded-For': 'true' } },
    ],
    [400, /attribute client_authentication/, { client_authentication: 'OPTIONAL' }],
    [400, /attribute tls_versions/, { tls_versions: [] }],
    [400, /attribute alpn_protocols\.0/, { alpn_protocols: ['h3'] }],
    [400, /attribute tls_ciphers/, { tls_ciphers: 'A;B' }],
    [404, /Pool .* not found/, { default_pool_id: randomUUID() }],
    [404, /Pool .* not found/, { default_pool_id: foreign }],
    [400, /HTTP cannot use a pool of protocol TCP/, { default_pool_id: tcp }],
    [400, /Unknown attribute for listener: default_pool/, { default_pool: {} }],
  ];
  for (const [status, text, attributes] of cases) {
    await api.refuse(status, text, 'POST', PATH, { listener: { ...base(), ...attributes } });
  }
  const { loadbalancer } = (await api.send('GET', `/v2/lbaas/loadbalancers/${loadbalancer_id}`)).body;
  assert.is(loadbalancer.provisioning_status, 'ACTIVE', 'a refused request locks nothing');
});

test('a port has one listener', async () => {
  const { protocol_port } = await create();
  await api.refuse(409, new RegExp(`port ${protocol_port}`), 'POST', PATH, {
    listener: { ...base(), protocol: 'TCP', protocol_port },
  });
});

test('TCP, UDP and SCTP may share a port', async () => {
  const { protocol_port } = await create({ protocol: 'TCP' });
  for (const protocol of ['UDP', 'SCTP']) {
    assert.is((await create({ protocol, protocol_port })).protocol, protocol);
    await api.refuse(409, /port/, 'POST', PATH, { listener: { ...base(), protocol, protocol_port } });
  }
});

test('UDP and SCTP are refused where the amphorae cannot balance them', async () => {
  const app = createApi({ ...api.dependencies, lvs: async () => false });
  for (const protocol of ['UDP', 'SCTP']) {
    const response = await app.request(PATH, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ listener: { ...base(), protocol } }),
    });
    assert.is(response.status, 501);
    assert.match(await response.text(), /ip_vs/);
  }
});

test('an update touches what it names; null is the default again', async () => {
  const pool = await createPool('HTTP');
  const { id } = await create({
    name: 'a',
    connection_limit: 5,
    allowed_cidrs: ['10.0.0.0/8'],
    default_pool_id: pool,
  });
  const first = await api.expect(200, 'PUT', `${PATH}/${id}`, {
    listener: { name: 'b', tls_versions: ['TLSv1.3'] },
  });
  assert.equal(
    [
      first.name,
      first.connection_limit,
      first.allowed_cidrs,
      first.default_pool_id,
      first.provisioning_status,
    ],
    ['b', 5, ['10.0.0.0/8'], pool, 'PENDING_UPDATE'],
  );
  assert.ok(first.updated_at);
  await api.settle();
  const cleared = { name: null, connection_limit: null, allowed_cidrs: [], default_pool_id: null };
  const second = await api.expect(200, 'PUT', `${PATH}/${id}`, { listener: cleared });
  assert.equal(
    [second.name, second.connection_limit, second.allowed_cidrs, second.default_pool_id],
    ['', -1, null, null],
  );
  await api.settle();
  for (const [status, text, listener] of [
    [400, /protocol_port/, { protocol_port: 81 }],
    [400, /: protocol\./, { protocol: 'TCP' }],
    [404, /Pool/, { default_pool_id: randomUUID() }],
    [400, /family/, { allowed_cidrs: ['::/0'] }],
  ] as const) {
    await api.refuse(status, text, 'PUT', `${PATH}/${id}`, { listener });
  }
  await api.refuse(404, /Listener .* not found/, 'PUT', `${PATH}/${randomUUID()}`, { listener: {} });
});

test('a change clears the error of the last one', async () => {
  const { id } = await create();
  await api.db
    .updateTable('listeners')
    .set({ provisioning_status: 'ERROR', withheld: true, error_code: 'agent_refused', error_message: 'no' })
    .where('id', '=', id)
    .execute();
  const { listener } = (await api.send('GET', `${PATH}/${id}`)).body;
  assert.equal(listener.provisioning_error, { code: 'agent_refused', message: 'no' });
  assert.is((await api.expect(200, 'PUT', `${PATH}/${id}`, { listener: {} })).provisioning_error, null);
  const row = await api.db.selectFrom('listeners').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  assert.is(row.withheld, false);
  await api.settle();
});

test('deletion removes the listener and keeps its pool', async () => {
  const pool = await createPool('HTTP');
  const { id } = await create({ default_pool_id: pool });
  assert.is((await api.send('DELETE', `${PATH}/${id}`)).status, 204);
  assert.is((await api.send('GET', `${PATH}/${id}`)).body.listener.provisioning_status, 'PENDING_DELETE');
  await api.settle();
  await api.refuse(404, /Listener .* not found/, 'GET', `${PATH}/${id}`);
  await api.refuse(404, /Listener .* not found/, 'DELETE', `${PATH}/${id}`);
  assert.equal((await api.send('GET', `/v2/lbaas/pools/${pool}`)).body.pool.listeners, []);
});

test.run();
