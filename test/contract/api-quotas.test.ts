import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../../src/config.ts';
import { startHarness } from './api-harness.ts';

const config = loadConfig({}, {});
const api = await startHarness({ config });
test.after(() => api.stop());

const PATH = '/v2/lbaas/quotas';
const LOAD_BALANCERS = '/v2/lbaas/loadbalancers';
const unlimited = {
  loadbalancer: -1,
  load_balancer: -1,
  listener: -1,
  pool: -1,
  member: -1,
  healthmonitor: -1,
  health_monitor: -1,
  l7policy: -1,
  l7rule: -1,
};
const ofProject = (id: string) => ({ project_id: id, tenant_id: id });
const pool = { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
const member = (port: number) => ({ address: '192.0.2.1', protocol_port: port });
const rule = { type: 'PATH', compare_type: 'EQUAL_TO', value: '/' };

/** Change limits; both spellings answer. */
const limit = (project: string, quota: object) => api.expect(202, 'PUT', `${PATH}/${project}`, { quota });
const statuses = (answers: { status: number }[]) => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

test('a project without a quota has the defaults', async () => {
  assert.equal(await api.show(`${PATH}/one`), { ...ofProject('one'), ...unlimited });
  assert.equal(await api.show(`${PATH}/one/default`), { ...ofProject('one'), ...unlimited });
  assert.equal(await api.show(`${PATH}/defaults`), { ...ofProject('defaults'), ...unlimited });
  assert.equal((await api.send('GET', PATH)).body, { quotas: [], quotas_links: [] });
  Object.assign(config, { quota_pools: 7 });
  assert.is((await api.show(`${PATH}/one`)).pool, 7);
  Object.assign(config, { quota_pools: -1 });
});

test('limits are set one by one, under either of their names', async () => {
  const changed = { ...unlimited, pool: 3, healthmonitor: 4, health_monitor: 4 };
  assert.equal(await limit('one', { pool: 3, health_monitor: '4' }), { ...ofProject('one'), ...changed });
  const both = await limit('one', { loadbalancer: 1, load_balancer: 2, pool: null });
  assert.equal([both.loadbalancer, both.load_balancer, both.pool, both.healthmonitor], [1, 1, -1, 4]);
  assert.equal((await api.send('GET', `${PATH}?project_id=one`)).body.quotas, [both]);
  assert.equal(await limit('one', {}), both);
  assert.is((await api.show(`${PATH}/one/default`)).healthmonitor, -1);

  await limit('two', {});
  const page = (await api.send('GET', `${PATH}?limit=1`)).body;
  assert.match(page.quotas_links[0].href, /marker=one/);
  const next = (await api.send('GET', page.quotas_links[0].href)).body;
  assert.is(next.quotas[0].project_id, 'two');

  for (const project of ['one', 'two', 'never']) {
    const answer = await api.send('DELETE', `${PATH}/${project}`);
    assert.equal([answer.status, answer.body], [202, '']);
  }
  assert.equal((await api.send('GET', PATH)).body.quotas, []);
});

test('what makes no sense is refused', async () => {
  for (const quota of [
    { pool: -2 },
    { pool: 2_000_000_001 },
    { pool: 'x' },
    { project_id: 'x' },
    { color: 1 },
  ])
    await api.refuse(400, /pool|project_id|color/, 'PUT', `${PATH}/one`, { quota });
  await api.refuse(400, /Unknown attribute|quota/, 'PUT', `${PATH}/one`, {});
  await api.refuse(400, /project_id/, 'GET', `${PATH}/%00`);
  await api.refuse(400, /project_id/, 'PUT', `${PATH}/${'x'.repeat(37)}`, { quota: {} });
});

test('each kind of object is counted, in trees too, until it is gone', async () => {
  const project_id = 'counted';
  const refused = (name: string) => new RegExp(`Quota has been met for resources: ${name}$`);
  await limit(project_id, Object.fromEntries(Object.keys(unlimited).map((key) => [key, 1])));
  const tree = {
    vip_subnet_id: randomUUID(),
    project_id,
    listeners: [{ protocol: 'HTTP', protocol_port: 80, l7policies: [{ action: 'REJECT', rules: [rule] }] }],
    pools: [
      {
        ...pool,
        name: 'p',
        members: [member(80)],
        healthmonitor: { type: 'TCP', delay: 1, timeout: 1, max_retries: 1 },
      },
    ],
  };
  const doubled: [string, object][] = [
    [
      'Pool',
      {
        ...tree,
        pools: [
          { ...pool, name: 'p' },
          { ...pool, name: 'q' },
        ],
      },
    ],
    ['Member', { ...tree, pools: [{ ...pool, name: 'p', members: [member(1), member(2)] }] }],
    [
      'L7 Rule',
      {
        ...tree,
        listeners: [{ ...tree.listeners[0], l7policies: [{ action: 'REJECT', rules: [rule, rule] }] }],
      },
    ],
  ];
  for (const [name, loadbalancer] of doubled)
    await api.refuse(403, refused(name), 'POST', LOAD_BALANCERS, { loadbalancer });
  assert.equal(
    await api.provider.network.listPorts({}, { signal: AbortSignal.timeout(1000) }),
    [],
    'a refused tree leaves no port',
  );

  const created = await api.createLoadBalancer(tree);
  const [listener] = created.listeners;
  const [{ id: poolId }] = created.pools;
  const { id: policyId } = listener.l7policies[0];
  const loadbalancer_id = created.id;
  const more: [string, string, object][] = [
    ['Load Balancer', LOAD_BALANCERS, { loadbalancer: { vip_subnet_id: randomUUID(), project_id } }],
    ['Listener', '/v2/lbaas/listeners', { listener: { loadbalancer_id, protocol: 'TCP', protocol_port: 1 } }],
    ['Pool', '/v2/lbaas/pools', { pool: { loadbalancer_id, ...pool } }],
    ['Member', `/v2/lbaas/pools/${poolId}/members`, { member: member(81) }],
    ['L7 Policy', '/v2/lbaas/l7policies', { l7policy: { listener_id: listener.id, action: 'REJECT' } }],
    ['L7 Rule', `/v2/lbaas/l7policies/${policyId}/rules`, { rule }],
  ];
  for (const [name, path, body] of more) await api.refuse(403, refused(name), 'POST', path, body);

  const batch = `/v2/lbaas/pools/${poolId}/members`;
  await api.refuse(403, refused('Member'), 'PUT', batch, { members: [member(80), member(81)] });
  assert.is((await api.show(`${LOAD_BALANCERS}/${created.id}`)).provisioning_status, 'ACTIVE');
  await api.expect(202, 'PUT', batch, { members: [member(81)] });
  await api.settle();

  await api.expect(204, 'DELETE', `${LOAD_BALANCERS}/${created.id}?cascade=true`);
  await api.refuse(403, refused('Load Balancer'), 'POST', LOAD_BALANCERS, { loadbalancer: tree });
  await api.settle();
  await api.db.deleteFrom('listeners').where('load_balancer_id', '=', created.id).execute();
  await api.db.deleteFrom('pools').where('load_balancer_id', '=', created.id).execute();
  await api.createLoadBalancer(tree);
});

test('a hundred that come at once leave exactly as many as there may be', async () => {
  await limit('crowd', { load_balancer: 10, pool: 10 });
  const creation = () =>
    api.send('POST', LOAD_BALANCERS, {
      loadbalancer: { vip_subnet_id: randomUUID(), project_id: 'crowd', pools: [{ ...pool, name: 'p' }] },
    });
  const answers = await Promise.all(Array.from({ length: 100 }, creation));
  assert.equal(statuses(answers), { 201: 10, 403: 90 });
  const count = async (path: string) =>
    Object.values((await api.send('GET', `${path}?project_id=crowd`)).body).flat().length;
  assert.equal([await count(LOAD_BALANCERS), await count('/v2/lbaas/pools')], [10, 10]);
});

test('those below different load balancers leave exactly as many as there may be', async () => {
  const owners = [];
  for (let index = 0; index < 20; index += 1)
    owners.push((await api.createLoadBalancer({ project_id: 'below' })).id);
  await limit('below', { listener: 10 });
  const answers = await Promise.all(
    owners.map((loadbalancer_id) =>
      api.send('POST', '/v2/lbaas/listeners', {
        listener: { loadbalancer_id, protocol: 'TCP', protocol_port: 80 },
      }),
    ),
  );
  assert.equal(statuses(answers), { 201: 10, 403: 10 });
});

test('limits below what is there already refuse only more', async () => {
  const { id } = await api.createLoadBalancer({ project_id: 'late', pools: [{ ...pool, name: 'p' }] });
  await limit('late', { pool: 0, load_balancer: 0 });
  await api.expect(200, 'PUT', `${LOAD_BALANCERS}/${id}`, { loadbalancer: { name: 'x' } });
  // A met quota is said before a state that takes no changes.
  await api.refuse(403, /Pool/, 'POST', '/v2/lbaas/pools', { pool: { ...pool, loadbalancer_id: id } });
});

test.run();
