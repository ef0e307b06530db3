import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const PATH = '/v2/lbaas/loadbalancers';
interface Policy {
  name: string;
  position: number;
  redirect_pool_id: string | null;
  rules: object[];
}

const vip = () => ({ vip_subnet_id: randomUUID() });

test('a whole tree is created by one request', async () => {
  const members = [{ address: '10.0.0.1', protocol_port: 80 }];
  const created = await api.expect(201, 'POST', PATH, {
    loadbalancer: {
      ...vip(),
      listeners: [
        { name: 'one', protocol: 'HTTP', protocol_port: 80, default_pool: { name: 'shared' } },
        {
          name: 'two',
          protocol: 'TCP',
          protocol_port: '8080',
          default_pool: { name: 'own', protocol: 'TCP', lb_algorithm: 'SOURCE_IP', members },
        },
        { name: 'three', protocol: 'TCP', protocol_port: 8081 },
      ],
      pools: [
        {
          name: 'shared',
          protocol: 'HTTP',
          lb_algorithm: 'ROUND_ROBIN',
          healthmonitor: { type: 'HTTP', delay: 5, timeout: 3, max_retries: 2 },
          members,
        },
      ],
    },
  });
  const [listeners, pools] = [byName(created.listeners), byName(created.pools)];
  assert.equal(Object.keys(pools).sort(), ['own', 'shared']);
  assert.is(listeners.one?.default_pool_id, pools.shared?.id);
  assert.is(listeners.two?.default_pool_id, pools.own?.id);
  assert.is(listeners.three?.default_pool_id, null);
  assert.is(pools.shared?.healthmonitor.url_path, '/');
  assert.is(pools.shared?.members[0].operating_status, 'OFFLINE');
  assert.is(pools.own?.members[0].operating_status, 'NO_MONITOR');
  for (const object of [...created.listeners, ...created.pools])
    assert.is(object.provisioning_status, 'PENDING_CREATE');
  await assertShownAlike(created);

  const { statuses } = (await api.send('GET', `${PATH}/${created.id}/status`)).body;
  assert.equal(Object.keys(statuses.loadbalancer).sort(), [
    'id',
    'listeners',
    'name',
    'operating_status',
    'provisioning_status',
  ]);
  const tree = byName(statuses.loadbalancer.listeners);
  assert.is(tree.one?.pools[0].health_monitor.type, 'HTTP');
  assert.is(tree.two?.pools[0].health_monitor, undefined);
  assert.is(tree.two?.pools[0].members[0].address, '10.0.0.1');
  assert.equal(tree.three?.pools, []);
});

test('lists and references keep the order of a tree, and of a batch of members', async () => {
  const numbers = Array.from({ length: 8 }, (_, index) => index);
  const ports = numbers.map((index) => 8000 + ((index * 5) % 8));
  const sent = ports.map((port) => String(port));
  const pool = { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
  const members = ports.map((protocol_port) => ({
    address: '10.0.0.1',
    protocol_port,
    name: `${protocol_port}`,
  }));
  const rules = sent.map((value) => ({ type: 'PATH', compare_type: 'EQUAL_TO', value }));
  const created = await api.expect(201, 'POST', PATH, {
    loadbalancer: {
      ...vip(),
      listeners: ports.map((port) => ({
        name: String(port),
        protocol: 'HTTP',
        protocol_port: port,
        l7policies: [{ action: 'REJECT', rules }],
      })),
      pools: sent.map((name) => ({ ...pool, name, members: name === sent[0] ? members : [] })),
    },
  });
  await api.settle();
  const names = (objects: { name: string }[]) => objects.map(({ name }) => name);
  const idsOf = (objects: { id: string }[]) => objects.map(({ id }) => ({ id }));
  assert.equal([names(created.listeners), names(created.pools)], [sent, sent]);
  const [first] = created.pools;
  assert.equal(names(first.members), sent);
  const path = `/v2/lbaas/pools/${first.id}/members`;
  for (const each of ['/v2/lbaas/listeners', '/v2/lbaas/pools'])
    assert.equal(names(await api.show(`${each}?loadbalancer_id=${created.id}`)), sent);
  assert.equal(names(await api.show(path)), sent);
  const [{ l7policies }] = created.listeners;
  const ruleValues = (await api.show(`/v2/lbaas/l7policies/${l7policies[0].id}/rules`)) as {
    value: string;
  }[];
  assert.equal(
    ruleValues.map(({ value }) => value),
    sent,
  );
  const shown = await api.show(`${PATH}/${created.id}`);
  assert.equal([shown.listeners, shown.pools], [idsOf(created.listeners), idsOf(created.pools)]);

  const batch = members.toReversed().map((member) => ({ ...member, address: '10.0.0.2' }));
  await api.expect(202, 'PUT', path, { members: batch });
  await api.settle();
  assert.equal(names(await api.show(path)), sent.toReversed());
});

test('a wrong tree is refused as a whole', async () => {
  const pool = { name: 'p', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
  const listener = { protocol: 'HTTP', protocol_port: 80 };
  const cases: [number, RegExp, object][] = [
    [400, /pools\.0\.name.*Mandatory/, { pools: [{ protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' }] }],
    [400, /Two pools have this name/, { pools: [pool, pool] }],
    [400, /No pool of this name/, { listeners: [{ ...listener, default_pool: { name: 'q' } }] }],
    [
      400,
      /default_pool\.lb_algorithm/,
      { listeners: [{ ...listener, default_pool: { name: 'q', protocol: 'HTTP' } }] },
    ],
    [400, /listeners\.0\.protocol\..*Mandatory/, { listeners: [{ protocol_port: 80 }] }],
    [400, /listeners\.0\.protocol_port/, { listeners: [{ ...listener, protocol_port: 0 }] }],
    [
      400,
      /Unknown attribute.*loadbalancer_id/,
      { listeners: [{ ...listener, loadbalancer_id: randomUUID() }] },
    ],
    [
      400,
      /TCP cannot use a pool|cannot use a pool of protocol TCP/,
      {
        listeners: [{ ...listener, default_pool: { ...pool, protocol: 'TCP' } }],
      },
    ],
    [
      409,
      /twice/,
      { pools: [{ ...pool, members: [1, 2].map(() => ({ address: '10.0.0.1', protocol_port: 80 })) }] },
    ],
    [400, /action/, { listeners: [{ ...listener, l7policies: [{}] }] }],
    [
      400,
      /request_sriov/,
      { pools: [{ ...pool, members: [{ address: '10.0.0.1', protocol_port: 1, request_sriov: true }] }] },
    ],
  ];
  for (const [status, text, tree] of cases) {
    await api.refuse(status, text, 'POST', PATH, { loadbalancer: { ...vip(), ...tree } });
  }
  const nothing = { listeners: null, pools: null, additional_vips: null, tags: null, admin_state_up: null };
  assert.is((await api.createLoadBalancer(nothing)).admin_state_up, true);
});

test('policies and rules come with their listener, and pools with the policies that redirect to them', async () => {
  const rule = { type: 'PATH', compare_type: 'STARTS_WITH', value: '/a' };
  const definition = { name: 'blue', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
  const l7policies = [
    { name: 'last', action: 'REJECT' },
    {
      name: 'first',
      action: 'REDIRECT_TO_POOL',
      redirect_pool: definition,
      position: 1,
      rules: [rule, rule],
    },
    {
      name: 'second',
      action: 'REDIRECT_TO_URL',
      redirect_url: 'http://a.example',
      position: 2,
      rules: [{ ...rule, type: 'HEADER', key: 'X-A' }],
    },
    { name: 'again', action: 'REDIRECT_TO_POOL', redirect_pool: { name: 'blue' } },
  ];
  const listener = { name: 'one', protocol: 'HTTP', protocol_port: 80, l7policies };
  const before = api.statements();
  const created = await api.expect(201, 'POST', PATH, { loadbalancer: { ...vip(), listeners: [listener] } });
  const cost = api.statements() - before;
  const [{ id: poolId }] = created.pools;
  const policies = created.listeners[0].l7policies;
  assert.equal(
    policies.map(({ name, position, redirect_pool_id: pool, rules }: Policy) => [
      name,
      position,
      pool,
      rules.length,
    ]),
    [
      ['first', 1, poolId, 2],
      ['second', 2, null, 1],
      ['last', 3, null, 0],
      ['again', 4, poolId, 0],
    ],
  );
  assert.equal(policies[1].rules[0].key, 'X-A');
  assert.equal([policies[1].redirect_http_code, policies[0].redirect_http_code], [302, null]);
  for (const object of [...policies, ...policies[0].rules])
    assert.equal([object.provisioning_status, object.operating_status], ['PENDING_CREATE', 'OFFLINE']);
  await assertShownAlike(created);
  await api.settle();
  const { loadbalancer } = await api.show(`${PATH}/${created.id}/status`);
  assert.equal(
    loadbalancer.listeners[0].pools.map(({ id }: { id: string }) => id),
    [poolId],
  );

  const listeners = Array.from({ length: 25 }, (_, index) => ({ ...listener, protocol_port: index + 1 }));
  const wide = listeners.map(({ l7policies, ...rest }, index) => ({
    ...rest,
    l7policies: index === 0 ? l7policies : [{ action: 'REJECT', rules: [rule] }],
  }));
  const large = api.statements();
  await api.expect(201, 'POST', PATH, { loadbalancer: { ...vip(), listeners: wide } });
  assert.is(api.statements() - large, cost, 'a larger tree takes as many statements');
});

test('reading a tree takes as many statements however large it is', async () => {
  const tree = (size: number) => ({
    ...vip(),
    listeners: Array.from({ length: size }, (_, index) => ({
      protocol: 'HTTP',
      protocol_port: index + 1,
      default_pool: {
        name: `p${index}`,
        protocol: 'HTTP',
        lb_algorithm: 'ROUND_ROBIN',
        healthmonitor: { type: 'TCP', delay: 1, timeout: 1, max_retries: 1 },
        members: [1, 2].map((port) => ({ address: '10.0.0.1', protocol_port: port })),
      },
    })),
  });
  const costs = async (size: number) => {
    const { id } = await api.createLoadBalancer(tree(size));
    const cost = async (path: string) => {
      const before = api.statements();
      await api.expect(200, 'GET', `${PATH}/${id}${path}`);
      return api.statements() - before;
    };
    return [await cost(''), await cost('/status'), await cost('/stats')];
  };
  assert.equal(await costs(25), await costs(1));
});

test('a wrong policy or rule refuses the tree', async () => {
  const rule = { type: 'PATH', compare_type: 'STARTS_WITH', value: '/a' };
  for (const [status, text, policy, protocol = 'HTTP'] of [
    [400, /l7policies\.0\.action/, {}],
    [400, /redirect_pool/, { action: 'REDIRECT_TO_POOL' }],
    [400, /No pool of this name/, { action: 'REDIRECT_TO_POOL', redirect_pool: { name: 'x' } }],
    [400, /redirect_pool_id/, { action: 'REDIRECT_TO_POOL', redirect_pool_id: randomUUID() }],
    [
      400,
      /cannot use a pool/,
      {
        action: 'REDIRECT_TO_POOL',
        redirect_pool: { name: 'x', protocol: 'TCP', lb_algorithm: 'SOURCE_IP' },
      },
    ],
    [400, /rules\.0\.type/, { action: 'REJECT', rules: [{ ...rule, type: 'x' }] }],
    [400, /value/, { action: 'REJECT', rules: [{ ...rule, value: 'a b' }] }],
    [409, /at most 50/, { action: 'REJECT', rules: Array(51).fill(rule) }],
    [501, /TCP/, { action: 'REJECT' }, 'TCP'],
  ] as [number, RegExp, object, string?][]) {
    const listener = { protocol, protocol_port: 80, l7policies: [policy] };
    await api.refuse(status, text, 'POST', PATH, { loadbalancer: { ...vip(), listeners: [listener] } });
  }
});

test('a tree of thousands of members fits', async () => {
  const members = Array.from({ length: 4000 }, (_, index) => ({
    address: '10.0.0.1',
    protocol_port: index + 1,
  }));
  const pools = [{ name: 'p', protocol: 'TCP', lb_algorithm: 'ROUND_ROBIN', members }];
  const created = await api.expect(201, 'POST', PATH, { loadbalancer: { ...vip(), pools } });
  assert.is(created.pools[0].members.length, 4000);
});

interface TreeObject {
  id: string;
  [attribute: string]: unknown;
}

/** Objects below others, by the attribute that holds them, and where each answers by itself. */
const below: Record<string, (id: string, parent: string) => string> = {
  listeners: (id) => `/v2/lbaas/listeners/${id}`,
  l7policies: (id) => `/v2/lbaas/l7policies/${id}`,
  rules: (id, policy) => `/v2/lbaas/l7policies/${policy}/rules/${id}`,
  pools: (id) => `/v2/lbaas/pools/${id}`,
  members: (id, pool) => `/v2/lbaas/pools/${pool}/members/${id}`,
};

/** Each object of a tree is as its own GET shows it, which names what is below it by id only. */
async function assertShownAlike(object: TreeObject, path = `${PATH}/${object.id}`): Promise<void> {
  const { healthmonitor, ...rest } = object;
  const inTree = Object.entries(rest).map(([name, value]) =>
    name in below ? [name, (value as TreeObject[]).map(({ id }) => ({ id }))] : [name, value],
  );
  assert.equal(Object.fromEntries(inTree), await api.show(path));
  if (healthmonitor) {
    const { id } = healthmonitor as TreeObject;
    await assertShownAlike(healthmonitor as TreeObject, `/v2/lbaas/healthmonitors/${id}`);
  }
  for (const [name, pathOf] of Object.entries(below)) {
    const objects = (object[name] ?? []) as TreeObject[];
    const whole = objects.filter((each) => Object.keys(each).length > 1);
    for (const each of whole) await assertShownAlike(each, pathOf(each.id, object.id));
  }
}

// biome-ignore lint/suspicious/noExplicitAny: objects of an answer.
function byName(objects: any[]): Record<string, any> {
  return Object.fromEntries(objects.map((object) => [object.name, object]));
}

test.run();
