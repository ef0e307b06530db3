import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const PATH = '/v2/lbaas/loadbalancers';
const names = 'abcdefg';

for (const name of names) {
  await api.createLoadBalancer({
    name,
    description: name < 'd' ? 'low' : 'high',
    project_id: name < 'c' ? 'one' : 'two',
    tags: name < 'c' ? ['x', 'y'] : name < 'e' ? ['x'] : [],
    listeners: [{ name: `l-${name}`, protocol: 'HTTP', protocol_port: 80 }],
  });
}

interface Page {
  names: string;
  links: Record<string, string>;
}

async function page(query: string): Promise<Page> {
  const answer = await api.send('GET', query.startsWith('http') ? query : `${PATH}${query}`);
  assert.is(answer.status, 200, `${query}: ${JSON.stringify(answer.body)}`);
  const links = answer.body.loadbalancers_links.map(({ rel, href }: { rel: string; href: string }) => [
    rel,
    href,
  ]);
  const found = answer.body.loadbalancers.map(({ name }: { name: string }) => name).join('');
  return { names: found, links: Object.fromEntries(links) };
}

test('pages follow each other to the end and back, in any order', async () => {
  for (const [order, expected] of [
    ['', names],
    ['&sort=name:desc', 'gfedcba'],
    ['&sort_key=description&sort_dir=desc&sort_key=name&sort_dir=desc', 'cbagfed'],
    // Null everywhere: the tie-break decides.
    ['&sort=flavor_id:desc', names],
  ] as const) {
    let current = await page(`?limit=3${order}`);
    let seen = current.names;
    assert.is(current.links.previous, undefined);
    while (current.links.next) {
      current = await page(current.links.next);
      seen += current.names;
    }
    assert.is(seen, expected, order);
    assert.is((await page(current.links.previous as string)).names, expected.slice(3, 6), order);
  }
});

test('sorting puts null last, or first when descending, also across pages', async () => {
  await api.db
    .updateTable('load_balancers')
    .set({ availability_zone: null, updated_at: null })
    .where('name', '<', 'c')
    .execute();
  const first = await page('?sort=updated_at:asc&limit=5');
  assert.is(first.names, 'cdefg');
  assert.is((await page(first.links.next as string)).names, 'ab');
  const other = await page('?sort=updated_at:desc,name:desc&limit=2');
  assert.is(other.names, 'ba');
  assert.is((await page(other.links.next as string)).names.length, 2);
  await api.db.updateTable('load_balancers').set({ updated_at: 'now' }).execute();
});

test('no limit, or none to speak of, is the whole list', async () => {
  for (const query of ['', '?limit=0', '?limit=-1', '?limit=5000']) {
    assert.equal(await page(query), { names, links: {} }, query);
  }
});

test('filters match exactly, and nothing where the value cannot be one', async () => {
  const { id } = (await api.send('GET', `${PATH}?name=c`)).body.loadbalancers[0];
  for (const [query, expected] of [
    ['?name=c', 'c'],
    ['?name=C', ''],
    [`?id=${id}`, 'c'],
    ['?id=x', ''],
    ['?admin_state_up=true', names],
    ['?admin_state_up=False', ''],
    ['?admin_state_up=x', ''],
    ['?provisioning_status=ACTIVE&description=low', 'abc'],
    ['?project_id=one', 'ab'],
    ['?vip_port_id=x', ''],
    ['?created_at=x', ''],
    ['?tags=x,y', 'ab'],
    ['?tags=x&tags=y', 'ab'],
    ['?tags-any=y,z', 'ab'],
    ['?not-tags=x,y', 'cdefg'],
    ['?not-tags-any=x', 'efg'],
    ['?tags=x&not-tags=y', 'cd'],
    ["?name=');--", ''],
  ] as const) {
    assert.is((await page(query)).names, expected, query);
  }
  const listeners = async (query: string) =>
    (await api.send('GET', `/v2/lbaas/listeners${query}`)).body.listeners.length;
  assert.is(await listeners(`?loadbalancer_id=${id}&protocol_port=80`), 1);
  assert.is(await listeners('?protocol_port=99999999999999999999'), 0);
  assert.is(await listeners('?protocol_port=http'), 0);
});

test('what makes no sense is refused', async () => {
  for (const query of [
    '?limit=x',
    '?limit=1.5',
    `?marker=${randomUUID()}`,
    '?marker=x',
    '?sort=nonsense',
    '?sort=name:up',
    '?sort=constructor',
    '?nonsense=1',
    '?tenant_id=one',
    '?name=a&name=b',
    '?name=%00',
    '?tags=%00',
    '?listeners=x',
  ]) {
    await api.refuse(400, /./, 'GET', `${PATH}${query}`);
  }
  await api.refuse(400, /listener_id/, 'GET', `/v2/lbaas/pools?listener_id=${randomUUID()}`);
});

test('fields select exactly what they name', async () => {
  const keys = async (query: string) =>
    Object.keys((await api.send('GET', `${PATH}${query}`)).body.loadbalancers[0]);
  assert.equal((await keys('?fields=id&fields=name')).sort(), ['id', 'name']);
  assert.equal(await keys('?fields=id,name'), []);
  assert.equal(await keys('?fields=nonsense'), []);
});

test('deleted load balancers are in no list, also not in that of amphorae by project', async () => {
  const { id } = await api.createLoadBalancer({ name: 'gone' });
  const amphora = {
    id: randomUUID(),
    load_balancer_id: id,
    status: 'ALLOCATED',
    role: 'STANDALONE',
  } as const;
  await api.db
    .insertInto('amphorae')
    .values({ ...amphora, vrrp_port_id: randomUUID() })
    .execute();
  const amphorae = async (query: string) =>
    (await api.send('GET', `/v2/octavia/amphorae${query}`)).body.amphorae;
  assert.is((await amphorae(`?loadbalancer_id=${id}&project_id=default&role=STANDALONE`)).length, 1);
  const [listed] = await amphorae('');
  assert.equal((await api.send('GET', `/v2.0/octavia/amphorae/${amphora.id}`)).body.amphora, listed);
  assert.is(listed.loadbalancer_id, id);
  await api.refuse(404, /Amphora .* not found/, 'GET', `/v2/octavia/amphorae/${randomUUID()}`);

  await api.expect(204, 'DELETE', `${PATH}/${id}`);
  await api.settle();
  assert.is((await page('?name=gone')).names, '');
});

test('a list takes as many statements for hundreds as for a few', async () => {
  const cost = async (path: string) => {
    const before = api.statements();
    assert.is((await api.send('GET', path)).status, 200);
    return api.statements() - before;
  };
  const paths = ['loadbalancers', 'listeners', 'pools', 'healthmonitors'].map((name) => `/v2/lbaas/${name}`);
  const few = await Promise.all(paths.map(() => 0));
  for (const [index, path] of paths.entries()) few[index] = await cost(path);
  assert.equal(few, [1, 1, 1, 1]);

  const pools = Array.from({ length: 40 }, (_, index) => ({
    name: `p${index}`,
    protocol: 'HTTP',
    lb_algorithm: 'ROUND_ROBIN',
    healthmonitor: { type: 'HTTP', delay: 1, timeout: 1, max_retries: 1 },
    members: [{ address: '10.0.0.1', protocol_port: 80 }],
  }));
  const listeners = pools.map(({ name }, index) => ({
    protocol: 'HTTP',
    protocol_port: index + 1,
    default_pool: { name },
  }));
  for (let round = 0; round < 10; round += 1) await api.createLoadBalancer({ pools, listeners });
  for (const [index, path] of paths.entries()) assert.is(await cost(path), few[index], path);
});

test.run();
