import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const { id: loadbalancer_id } = await api.createLoadBalancer();
const listener = await api.expect(201, 'POST', '/v2/lbaas/listeners', {
  listener: { loadbalancer_id, protocol: 'HTTP', protocol_port: 80 },
});
await api.settle();

async function createPolicy(): Promise<string> {
  const l7policy = { listener_id: listener.id, action: 'REJECT' };
  const { id } = await api.expect(201, 'POST', '/v2/lbaas/l7policies', { l7policy });
  await api.settle();
  return id;
}

const policyId = await createPolicy();
const PATH = `/v2/lbaas/l7policies/${policyId}/rules`;
const base = { type: 'PATH', compare_type: 'STARTS_WITH', value: '/api' };
const status = async (path: string) => (await api.show(path)).provisioning_status;

async function create(rule: object = base) {
  const created = await api.expect(201, 'POST', PATH, { rule });
  await api.settle();
  return created;
}

test('a created rule has every attribute, and its policy and listener change with it', async () => {
  const rule = { ...base, key: 'unused', tags: ['x'], invert: null };
  const { id, created_at, ...rest } = await api.expect(201, 'POST', PATH, { rule });
  assert.ok(created_at);
  assert.equal(rest, {
    project_id: 'default',
    tenant_id: 'default',
    admin_state_up: true,
    provisioning_status: 'PENDING_CREATE',
    operating_status: 'OFFLINE',
    provisioning_error: null,
    tags: ['x'],
    updated_at: null,
    ...base,
    key: 'unused',
    invert: false,
  });
  assert.is(await status(`/v2/lbaas/l7policies/${policyId}`), 'PENDING_UPDATE');
  assert.is(await status(`/v2/lbaas/listeners/${listener.id}`), 'PENDING_UPDATE');
  await api.settle();

  assert.is((await api.send('GET', `${PATH}/${id}`)).body.rule.id, id);
  assert.equal((await api.send('GET', `/v2/lbaas/l7policies/${policyId}`)).body.l7policy.rules, [{ id }]);
  assert.is((await api.send('GET', `${PATH}?type=PATH&tags=x`)).body.rules[0].id, id);
  await api.refuse(400, /Unknown query parameter name/, 'GET', `${PATH}?name=x`);
  assert.equal(Object.keys((await api.send('GET', PATH)).body), ['rules', 'rules_links']);

  const changed = await api.expect(200, 'PUT', `${PATH}/${id}`, { rule: { value: '/b', key: null } });
  assert.equal([changed.value, changed.key, changed.type], ['/b', null, 'PATH']);
  assert.is(changed.provisioning_status, 'PENDING_UPDATE');
  await api.settle();
  await api.expect(204, 'DELETE', `${PATH}/${id}`);
  assert.is(await status(`${PATH}/${id}`), 'PENDING_DELETE');
  await api.settle();
  await api.refuse(404, /L7 Rule .* not found/, 'GET', `${PATH}/${id}`);
});

test('each type takes its own comparisons, keys and values', async () => {
  const all = ['REGEX', 'STARTS_WITH', 'ENDS_WITH', 'CONTAINS', 'EQUAL_TO'];
  const cases: [type: string, compareTypes: string[], key: string | undefined, value: string][] = [
    ['HOST_NAME', all, undefined, 'www.example.com'],
    ['PATH', all, undefined, '/images/a+b'],
    ['PATH', ['EQUAL_TO'], undefined, '"a quoted value"'],
    ['FILE_TYPE', ['REGEX', 'EQUAL_TO'], undefined, 'jpg'],
    ['HEADER', all, 'X-My-Header', 'some-value'],
    ['COOKIE', all, 'session', 'abc123'],
    ['SSL_CONN_HAS_CERT', ['EQUAL_TO'], undefined, 'True'],
    ['SSL_VERIFY_RESULT', ['EQUAL_TO'], undefined, '0'],
    ['SSL_DN_FIELD', all, 'CN', 'a client'],
  ];
  for (const [type, compareTypes, key, value] of cases) {
    for (const compare_type of compareTypes) {
      const rule = { type, compare_type, key, value };
      const created = await create(rule);
      assert.equal([created.type, created.compare_type, created.value], [type, compare_type, value]);
      await api.expect(204, 'DELETE', `${PATH}/${created.id}`);
      await api.settle();
    }
    for (const compare_type of all.filter((each) => !compareTypes.includes(each) && compareTypes.length > 1))
      await api.refuse(400, /compare_type/, 'POST', PATH, { rule: { type, compare_type, key, value } });
  }
});

test('regular expressions are those of PCRE', async () => {
  for (const value of ['^/(a|b)[0-9]+\\.html$', '(?i)^abc', 'a(?P<name>b)', 'a++b', ' .*'])
    await create({ ...base, compare_type: 'REGEX', value });
  for (const value of ['(', '[a', '*', 'a\u0007', ''])
    await api.refuse(400, /regular expression/, 'POST', PATH, {
      rule: { ...base, compare_type: 'REGEX', value },
    });
});

test('what makes no sense is refused', async () => {
  for (const [attribute, rule] of [
    ['type', { ...base, type: 'path' }],
    ['type', { compare_type: 'REGEX', value: 'x' }],
    ['compare_type', { type: 'PATH', value: 'x' }],
    ['value', { type: 'PATH', compare_type: 'EQUAL_TO' }],
    ['value', { ...base, value: null }],
    ['value', { ...base, value: 'x'.repeat(256) }],
    ['value', { ...base, value: 'a b' }],
    ['value', { ...base, value: 'a"b' }],
    ['value', { ...base, value: '' }],
    ['key', { ...base, type: 'HEADER' }],
    ['key', { ...base, type: 'HEADER', key: 'a b' }],
    ['key', { ...base, type: 'COOKIE' }],
    ['value', { ...base, type: 'COOKIE', key: 'a', value: 'a;b' }],
    ['value', { ...base, type: 'COOKIE', key: 'a', value: 'a\\b' }],
    ['compare_type', { type: 'SSL_CONN_HAS_CERT', compare_type: 'CONTAINS', value: 'true' }],
    ['value', { type: 'SSL_CONN_HAS_CERT', compare_type: 'EQUAL_TO', value: 'false' }],
    ['key', { type: 'SSL_CONN_HAS_CERT', compare_type: 'EQUAL_TO', value: 'true', key: 'a' }],
    ['value', { type: 'SSL_VERIFY_RESULT', compare_type: 'EQUAL_TO', value: '-1' }],
    ['key', { type: 'SSL_DN_FIELD', compare_type: 'EQUAL_TO', value: 'x', key: '1N' }],
    ['invert', { ...base, invert: 'maybe' }],
    ['nonsense', { ...base, nonsense: 1 }],
  ] as const) {
    await api.refuse(400, new RegExp(attribute), 'POST', PATH, { rule });
  }
});

test('a change is judged by the rule that it makes', async () => {
  const { id } = await create({ type: 'HEADER', compare_type: 'EQUAL_TO', key: 'X-A', value: 'v' });
  for (const rule of [{ type: 'COOKIE', key: null }, { value: 'a b' }, { type: 'SSL_CONN_HAS_CERT' }])
    await api.refuse(400, /./, 'PUT', `${PATH}/${id}`, { rule });
  const cookie = await api.expect(200, 'PUT', `${PATH}/${id}`, { rule: { type: 'COOKIE' } });
  assert.equal([cookie.type, cookie.key], ['COOKIE', 'X-A']);
  await api.settle();
});

test('a rule is found below its own policy only', async () => {
  const { id } = await create();
  const other = `/v2/lbaas/l7policies/${await createPolicy()}/rules`;
  for (const path of [`${other}/${id}`, `/v2/lbaas/l7policies/${randomUUID()}/rules/${id}`])
    for (const method of ['GET', 'DELETE']) await api.refuse(404, /not found/, method, path);
  await api.refuse(404, /L7 Policy/, 'GET', `/v2/lbaas/l7policies/${randomUUID()}/rules`);
  await api.refuse(404, /L7 Policy/, 'POST', `/v2/lbaas/l7policies/${randomUUID()}/rules`, { rule: base });
});

test('a policy has at most 50 rules', async () => {
  const path = `/v2/lbaas/l7policies/${await createPolicy()}/rules`;
  for (let count = 0; count < 50; count += 1) {
    await api.expect(201, 'POST', path, { rule: base });
    await api.settle();
  }
  await api.refuse(409, /at most 50 rules/, 'POST', path, { rule: base });
  const [first] = (await api.send('GET', path)).body.rules;
  await api.expect(204, 'DELETE', `${path}/${first.id}`);
  await api.settle();
  await create();
});

test.run();
