import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const PATH = '/v2/lbaas/healthmonitors';
const { id: loadbalancer_id } = await api.createLoadBalancer();

async function createPool(protocol = 'HTTP'): Promise<string> {
  const pool = { loadbalancer_id, protocol, lb_algorithm: 'ROUND_ROBIN' };
  const { id } = await api.expect(201, 'POST', '/v2/lbaas/pools', { pool });
  await api.settle();
  return id;
}

const timing = { delay: 5, timeout: 10, max_retries: 2 };

async function create(attributes: object = {}) {
  const healthmonitor = { pool_id: await createPool(), type: 'HTTP', ...timing, ...attributes };
  const monitor = await api.expect(201, 'POST', PATH, { healthmonitor });
  await api.settle();
  return monitor;
}

test('a created monitor has every attribute, with the defaults of its type', async () => {
  const pool_id = await createPool();
  const healthmonitor = {
    pool_id,
    type: 'HTTP',
    delay: '5',
    timeout: 10,
    max_retries: 2,
    max_retries_down: null,
  };
  const { id, created_at, ...rest } = await api.expect(201, 'POST', PATH, { healthmonitor });
  assert.ok(created_at);
  assert.equal(rest, {
    name: '',
    project_id: 'default',
    tenant_id: 'default',
    admin_state_up: true,
    provisioning_status: 'PENDING_CREATE',
    operating_status: 'OFFLINE',
    provisioning_error: null,
    tags: [],
    updated_at: null,
    type: 'HTTP',
    delay: 5,
    timeout: 10,
    max_retries: 2,
    max_retries_down: 3,
    http_method: 'GET',
    url_path: '/',
    expected_codes: '200',
    http_version: null,
    domain_name: null,
    pools: [{ id: pool_id }],
  });
  const { pool } = (await api.send('GET', `/v2/lbaas/pools/${pool_id}`)).body;
  assert.equal([pool.healthmonitor_id, pool.provisioning_status], [id, 'PENDING_UPDATE']);
  await api.settle();
  await api.refuse(409, /already has a health monitor/, 'POST', PATH, { healthmonitor });

  const tcp = await create({ type: 'TCP' });
  assert.equal([tcp.http_method, tcp.url_path, tcp.expected_codes], [null, null, null]);
});

test('invalid monitors are refused by name', async () => {
  const [pool_id, udp] = [await createPool(), await createPool('UDP')];
  const cases: [number, RegExp, object][] = [
    [404, /Pool .* not found/, { pool_id: randomUUID() }],
    [400, /attribute type\..*one of/, { type: 'HTTP2' }],
    [400, /attribute delay\..*Mandatory/, { delay: undefined }],
    [400, /attribute timeout/, { timeout: -1 }],
    [400, /attribute max_retries\./, { max_retries: 0 }],
    [400, /attribute max_retries_down/, { max_retries_down: 11 }],
    [400, /attribute http_method/, { http_method: 'get' }],
    [400, /attribute url_path/, { url_path: 'healthy' }],
    [400, /attribute url_path/, { url_path: '//host/x' }],
    [400, /attribute url_path/, { url_path: '/a b' }],
    [400, /attribute expected_codes/, { expected_codes: '200-204,301' }],
    [400, /attribute expected_codes/, { expected_codes: '' }],
    [400, /attribute http_version/, { http_version: 2 }],
    [400, /domain_name needs http_version/, { domain_name: 'example.org' }],
    [400, /attribute domain_name/, { domain_name: 'a b', http_version: 1.1 }],
    [400, /attribute url_path.*type TCP/, { type: 'TCP', url_path: '/' }],
    [400, /attribute type/, { type: 'UDP-CONNECT' }],
    [400, /attribute type/, { type: 'PING', pool_id: udp }],
    [400, /attribute delay.*3/, { type: 'UDP-CONNECT', pool_id: udp, delay: 2 }],
  ];
  for (const [status, text, attributes] of cases) {
    const healthmonitor = { pool_id, type: 'HTTP', ...timing, ...attributes };
    await api.refuse(status, text, 'POST', PATH, { healthmonitor });
  }
});

test('codes, paths and names of the forms that are allowed are kept as given', async () => {
  const given = {
    url_path: '/a?b=c&d',
    expected_codes: '200, 201',
    http_version: '1.1',
    domain_name: 'www.example.org',
    http_method: 'HEAD',
  };
  const monitor = await create(given);
  assert.equal(
    [
      monitor.url_path,
      monitor.expected_codes,
      monitor.http_version,
      monitor.domain_name,
      monitor.http_method,
    ],
    ['/a?b=c&d', '200, 201', 1.1, 'www.example.org', 'HEAD'],
  );
  assert.is((await create({ expected_codes: '200-204' })).expected_codes, '200-204');
});

test('an update touches what it names, and is checked as a whole', async () => {
  const { id } = await create({ url_path: '/x', max_retries_down: 7 });
  const updated = await api.expect(200, 'PUT', `${PATH}/${id}`, {
    healthmonitor: { delay: 9, url_path: null },
  });
  assert.equal(
    [updated.delay, updated.url_path, updated.max_retries_down, updated.provisioning_status],
    [9, '/', 7, 'PENDING_UPDATE'],
  );
  await api.settle();
  for (const [text, healthmonitor] of [
    [/attribute delay/, { delay: null }],
    [/domain_name needs/, { domain_name: 'a.example' }],
    [/Unknown attribute.*type/, { type: 'TCP' }],
    [/Unknown attribute.*pool_id/, { pool_id: id }],
  ] as const) {
    await api.refuse(400, text, 'PUT', `${PATH}/${id}`, { healthmonitor });
  }
  const tcp = await create({ type: 'TCP' });
  await api.refuse(400, /attribute expected_codes/, 'PUT', `${PATH}/${tcp.id}`, {
    healthmonitor: { expected_codes: '200' },
  });
});

test('deletion frees the pool for another monitor', async () => {
  const { id, pools } = await create();
  assert.is((await api.send('DELETE', `${PATH}/${id}`)).status, 204);
  await api.settle();
  await api.refuse(404, /Health Monitor .* not found/, 'GET', `${PATH}/${id}`);
  await create({ pool_id: pools[0].id });
});

test.run();
