import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createApi } from '../../src/http/app.ts';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

test('discovery lists v2.0 to v2.30, and only the last is CURRENT', async () => {
  const { versions } = (await api.send('GET', '/')).body;
  assert.is(versions.length, 31);
  assert.equal(versions[0], {
    id: 'v2.0',
    status: 'SUPPORTED',
    updated: '2016-12-11T00:00:00Z',
    links: [{ href: 'http://localhost/v2', rel: 'self' }],
  });
  assert.is(versions[7].updated, '2018-01-25T12:00:00Z');
  assert.is(versions[30].id, 'v2.30');
  const current = versions.filter(({ status }: { status: string }) => status === 'CURRENT');
  assert.equal(current, [versions[30]]);
});

test('links are those by which clients reach the API, also behind a proxy', async () => {
  const { dependencies } = api;
  const config = { ...dependencies.config, api_base_uri: 'https://lb.example/load-balancer/' };
  const app = createApi({ ...dependencies, config });
  const ask = async <T>(path: string) => (await (await app.request(path)).json()) as T;
  const base = 'https://lb.example/load-balancer/v2';
  const { versions } = await ask<{ versions: { links: object[] }[] }>('/');
  assert.equal(versions[0]?.links, [{ href: base, rel: 'self' }]);
  for (const name of ['a', 'b']) await api.createLoadBalancer({ name });
  const path = '/lbaas/loadbalancers?limit=1&sort=name:asc';
  const page = await ask<{ loadbalancers: { id: string }[]; loadbalancers_links: object[] }>(`/v2${path}`);
  const href = `${base}${path.replace(':', '%3A')}&marker=${page.loadbalancers[0]?.id}`;
  assert.equal(page.loadbalancers_links, [{ rel: 'next', href }]);
  assert.match(
    (await api.send('GET', `/v2${path}`)).body.loadbalancers_links[0].href,
    /^http:.*localhost\/v2/,
  );
});

test('every spelling of a path leads to the same tree', async () => {
  for (const root of ['/v2', '/v2.0', '/v2/lbaas', '/v2.0/lbaas', '/v2/octavia', '/v2/lbaas/', '/v2.json']) {
    assert.is((await api.send('GET', root)).body, 'v2', root);
  }
  for (const base of ['/v2', '/v2.0', '/v2/lbaas', '/v2.0/lbaas']) {
    for (const end of ['', '/', '.json']) {
      assert.equal((await api.send('GET', `${base}/listeners${end}`)).body.listeners, []);
    }
  }
  assert.equal((await api.send('GET', '/v2.0/octavia/amphorae')).body, { amphorae: [], amphorae_links: [] });
  await api.refuse(404, /nothing at/, 'GET', '/v2/lbaas/octavia/amphorae');
});

test('the healthcheck says OK', async () => {
  assert.is((await api.send('GET', '/healthcheck')).body, 'OK');
});

test('whatever does not admit JSON is refused, an empty Accept is not', async () => {
  const cases: [string, number][] = [
    ['', 200],
    ['*/*', 200],
    ['application/json', 200],
    ['text/html, application/*;q=0.5', 200],
    ['text/html', 406],
    ['application/json;q=0', 406],
  ];
  for (const [accept, status] of cases) {
    for (const path of ['/', '/v2/lbaas/pools']) {
      const answer = await api.send('GET', path, undefined, { accept });
      assert.is(answer.status, status, `${path} ${accept}`);
      if (status === 406) assert.is(answer.body.faultcode, 'Client');
    }
  }
});

test('bodies are JSON of at most a megabyte', async () => {
  const path = '/v2/lbaas/loadbalancers';
  const typed = (type: string) => api.send('POST', path, '{"loadbalancer": {}}', { 'content-type': type });
  assert.is((await typed('application/json; charset=utf-8')).status, 400);
  assert.is((await typed('text/plain')).status, 415);
  assert.is((await typed('application/x-www-form-urlencoded')).status, 400);

  await api.refuse(400, /no body/, 'POST', path);
  await api.refuse(400, /not valid JSON/, 'POST', path, '{"loadbalancer": ');
  await api.refuse(400, /loadbalancer.*Mandatory field missing/, 'POST', path, {});
  await api.refuse(400, /Wrong type/, 'POST', path, 'null');
  await api.refuse(400, /Wrong type/, 'POST', path, '[]');
  await api.refuse(400, /Unknown attribute.*: listener/, 'POST', path, { loadbalancer: {}, listener: {} });
  await api.refuse(
    413,
    /larger than/,
    'POST',
    path,
    JSON.stringify({ loadbalancer: { name: 'x'.repeat(1_048_576) } }),
  );
});

test('methods and paths that do not exist are told apart', async () => {
  await api.refuse(404, /nothing at/, 'GET', '/v2/lbaas/nonsense');
  await api.refuse(404, /nothing at/, 'GET', '/v2/lbaas/loadbalancers/x/y/z');
  for (const [method, path, allow] of [
    ['DELETE', '/v2/lbaas/listeners', 'GET, POST'],
    ['POST', '/v2/lbaas/listeners/x', 'DELETE, GET, PUT'],
    ['PATCH', '/v2/lbaas/listeners', 'DELETE, GET, POST, PUT'],
    ['HEAD', '/v2/lbaas/listeners', 'DELETE, GET, POST, PUT'],
  ] as const) {
    const answer = await api.send(method, path);
    assert.is(answer.status, 405, method);
    assert.is(answer.headers.get('allow'), allow);
  }
  const options = await api.send('OPTIONS', '/v2/lbaas/listeners');
  assert.equal([options.status, options.body], [200, '']);
});

test('providers are those that are enabled, with what their flavors may say', async () => {
  const { providers } = (await api.send('GET', '/v2/lbaas/providers')).body;
  assert.equal(providers, [
    { name: 'amphora', description: 'The Octavia Amphora driver.' },
    { name: 'octavia', description: 'Deprecated alias of the Octavia Amphora driver.' },
  ]);
  assert.equal((await api.send('GET', '/v2/lbaas/providers?fields=name&name=octavia')).body.providers, [
    { name: 'octavia' },
  ]);
  const flavor = (await api.send('GET', '/v2/lbaas/providers/amphora/flavor_capabilities')).body
    .flavor_capabilities;
  assert.equal(
    flavor.map(({ name }: { name: string }) => name),
    ['allow_member_sriov', 'amp_image_tag', 'compute_flavor', 'loadbalancer_topology', 'sriov_vip'],
  );
  const zone = await api.send('GET', '/v2/lbaas/providers/octavia/availability_zone_capabilities');
  assert.equal(zone.body.availability_zone_capabilities[0], {
    name: 'compute_zone',
    description: 'The compute availability zone.',
  });
  await api.refuse(400, /not enabled/, 'GET', '/v2/lbaas/providers/f5/flavor_capabilities');
});

test('networks are refused where the provider makes none', async () => {
  await api.refuse(501, /no networks/, 'GET', '/v2.0/amphorae/networks');
});

test.run();
