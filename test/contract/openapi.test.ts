import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { answers, answersToPost, specialAnswers } from '../../src/http/openapi/answers.ts';
import { resources } from '../../src/http/resources.ts';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());
const { body: document } = await api.send('GET', '/openapi.json');

interface Operation {
  parameters: { name: string; in: string }[];
  requestBody?: object;
  responses: Record<string, object>;
}
const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
  ([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

test('every route that is served is described, with its parameters, body, answer and faults', () => {
  assert.is(document.openapi, '3.1.0');
  for (const path of [
    '/lbaas/loadbalancers',
    '/lbaas/pools/{pool_id}/members/{id}',
    '/octavia/amphorae/{id}/failover',
  ]) {
    assert.ok(path in document.paths, path);
  }
  assert.ok(operations.length > 60);
  for (const { path, method, operation } of operations) {
    const named = operation.parameters.filter((each) => each.in === 'path').map(({ name }) => `{${name}}`);
    assert.equal(named, path.match(/\{\w+\}/g) ?? [], `${method} ${path}`);
    assert.ok(Object.keys(operation.responses).some((status) => status.startsWith('2')));
    for (const status of ['400', '401', '403', '404', '503']) assert.ok(status in operation.responses);
    if (method === 'POST' && path.startsWith('/lbaas')) assert.ok(operation.requestBody, path);
  }
  const ids = operations.map(
    ({ operation }) => (operation as unknown as { operationId: string }).operationId,
  );
  assert.is(new Set(ids).size, ids.length);
});

test('every reference leads somewhere', () => {
  for (const [, reference = ''] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const target = reference.split('/').reduce((at, key) => at?.[key], document);
    assert.ok(target, reference);
  }
});

test('every kind of object has the filters, bodies and answers that the API has', () => {
  for (const { path, plural, root, attributes, bodies } of resources) {
    assert.ok(answers[root], root);
    const names = document.paths[path].get.parameters.map(({ name }: { name: string }) => name);
    for (const [name, { type }] of Object.entries(attributes))
      if (type !== 'tags') assert.ok(names.includes(name), `${plural} ${name}`);
    if (bodies.post !== undefined) assert.ok(document.paths[path].post.requestBody, plural);
  }
});

test('what is answered is what is described', async () => {
  const pool = {
    name: 'p',
    protocol: 'HTTP',
    lb_algorithm: 'ROUND_ROBIN',
    session_persistence: { type: 'SOURCE_IP' },
    members: [{ address: '10.0.0.1', protocol_port: 80 }],
    healthmonitor: { type: 'HTTP', delay: 1, timeout: 1, max_retries: 1 },
  };
  const l7policies = [{ action: 'REJECT', rules: [{ type: 'PATH', compare_type: 'EQUAL_TO', value: '/x' }] }];
  const { body } = await api.send('POST', '/v2/lbaas/loadbalancers', {
    loadbalancer: {
      vip_subnet_id: randomUUID(),
      pools: [pool],
      listeners: [{ protocol: 'HTTP', protocol_port: 80, default_pool: { name: 'p' }, l7policies }],
    },
  });
  answersToPost.loadbalancer?.parse(body.loadbalancer);
  await api.settle();
  await api.createFlavor({ sriov_vip: false });
  const tree = body.loadbalancer;

  const below = {
    pool_id: tree.pools[0].id,
    policy_id: tree.listeners[0].l7policies[0].id,
  };
  const fill = (path: string) =>
    path.replace(/\{(\w+)\}/g, (_, name: string) => below[name as keyof typeof below] ?? tree.id);
  let objects = 0;
  for (const { path, root, plural } of resources) {
    const list = (await api.send('GET', `/v2${fill(path)}`)).body[plural];
    for (const object of list) {
      const checked = answers[root]?.safeParse(object);
      assert.ok(checked?.success, `${root}: ${checked?.error?.message}`);
      objects += 1;
    }
  }
  assert.ok(objects >= 9, `${objects} objects`);
  specialAnswers.status?.parse((await api.send('GET', `/v2/lbaas/loadbalancers/${tree.id}/status`)).body);
  specialAnswers.stats?.parse((await api.send('GET', `/v2/lbaas/loadbalancers/${tree.id}/stats`)).body);
  for (const [path, name] of [
    ['providers', 'providers'],
    ['providers/amphora/flavor_capabilities', 'flavor_capabilities'],
  ] as const) {
    specialAnswers[name]?.parse((await api.send('GET', `/v2/lbaas/${path}`)).body);
  }
});

test('the page is there for browsers, and loads nothing from elsewhere', async () => {
  const { status, headers, body } = await api.send('GET', '/docs', undefined, { accept: 'text/html' });
  assert.is(status, 200);
  assert.match(headers.get('content-type') ?? '', /^text\/html/);
  assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*script-src 'sha256-/);
  assert.not.match(body, /https?:\/\//);
});

test.run();
