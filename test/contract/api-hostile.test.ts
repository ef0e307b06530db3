import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type * as z from 'zod';
import { HealthMonitorPost, HealthMonitorPut } from '../../src/http/schemas/health-monitor.ts';
import { ListenerPost, ListenerPut } from '../../src/http/schemas/listener.ts';
import { LoadBalancerPost, LoadBalancerPut } from '../../src/http/schemas/load-balancer.ts';
import { MemberPost, MemberPut } from '../../src/http/schemas/member.ts';
import { PoolPost, PoolPut } from '../../src/http/schemas/pool.ts';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const hostile = [
  ...[
    undefined,
    null,
    true,
    0,
    -1,
    1.5,
    2 ** 31,
    2 ** 53,
    1e300,
    '',
    ' ',
    '0',
    '-1',
    'True',
    'x'.repeat(5000),
  ],
  ...[
    'a\0b',
    '\ud800',
    '\u202e',
    "'; DROP TABLE members; --",
    '$1',
    '{}',
    '10.0.0.1',
    '::1',
    '::/0',
    '0.0.0.0/0',
  ],
  ...[
    randomUUID(),
    '00000000-0000-0000-0000-000000000000',
    '/',
    '/%00',
    '200',
    'HTTP',
    'SOURCE_IP',
    '__proto__',
  ],
  ...[
    [],
    {},
    [null],
    [[]],
    [{}],
    ['\0'],
    ['a'],
    { a: 1 },
    { type: 'APP_COOKIE', cookie_name: '\ud800' },
    { '': '' },
  ],
  ...[JSON.parse('{"__proto__": {"a": 1}}'), ['10.0.0.0/8', '10.1.1.1/8'], [randomUUID()], { name: 'x' }],
];

const loadBalancer = await api.createLoadBalancer({
  listeners: [{ protocol: 'HTTP', protocol_port: 80 }],
  pools: [
    {
      name: 'p',
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
      members: [{ address: '10.0.0.1', protocol_port: 1 }],
      healthmonitor: { type: 'HTTP', delay: 1, timeout: 1, max_retries: 1 },
    },
  ],
});
const [listener, pool] = [loadBalancer.listeners[0], loadBalancer.pools[0]];
const { id: loadbalancer_id } = loadBalancer;
const members = `pools/${pool.id}/members`;
let lastPort = 1000;

/** A request that is accepted, to spoil one attribute of at a time. */
const requests: [z.ZodObject, string, string, string, () => object][] = [
  [LoadBalancerPost, 'POST', 'loadbalancers', 'loadbalancer', () => ({ vip_subnet_id: randomUUID() })],
  [LoadBalancerPut, 'PUT', `loadbalancers/${loadbalancer_id}`, 'loadbalancer', () => ({})],
  [
    ListenerPost,
    'POST',
    'listeners',
    'listener',
    () => ({ loadbalancer_id, protocol: 'HTTP', protocol_port: ++lastPort }),
  ],
  [ListenerPut, 'PUT', `listeners/${listener.id}`, 'listener', () => ({})],
  [
    PoolPost,
    'POST',
    'pools',
    'pool',
    () => ({ loadbalancer_id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' }),
  ],
  [PoolPut, 'PUT', `pools/${pool.id}`, 'pool', () => ({})],
  [MemberPost, 'POST', members, 'member', () => ({ address: '10.0.0.2', protocol_port: ++lastPort })],
  [MemberPut, 'PUT', `${members}/${pool.members[0].id}`, 'member', () => ({})],
  [
    HealthMonitorPost,
    'POST',
    'healthmonitors',
    'healthmonitor',
    () => ({ pool_id: pool.id, type: 'HTTP', delay: 1, timeout: 1, max_retries: 1 }),
  ],
  [HealthMonitorPut, 'PUT', `healthmonitors/${pool.healthmonitor_id}`, 'healthmonitor', () => ({})],
];

for (const [schema, method, path, root, valid] of requests) {
  test(`no value of any attribute makes ${method} ${root} fail`, async () => {
    for (const name of Object.keys(schema.shape)) {
      for (const value of hostile) {
        const answer = await api.send(method, `/v2/lbaas/${path}`, { [root]: { ...valid(), [name]: value } });
        const asked = `${method} ${root} ${name}=${JSON.stringify(value)}: ${JSON.stringify(answer.body)}`;
        assert.ok(answer.status < 500 || answer.status === 501, asked);
        if (answer.status < 300) await api.settle();
        // Deleted by hand: thousands of objects would slow the test down.
        if (answer.status === 201 && root === 'loadbalancer') {
          await api.db.deleteFrom('load_balancers').where('id', '=', answer.body.loadbalancer.id).execute();
        }
      }
    }
  });
}

test('no query makes a list fail', async () => {
  const lists = [
    'loadbalancers',
    'listeners',
    'pools',
    members,
    'healthmonitors',
    'flavors',
    'flavorprofiles',
  ];
  for (const list of [...lists, 'providers', '../octavia/amphorae']) {
    const [sample] = Object.values((await api.send('GET', `/v2/lbaas/${list}`)).body)[0] as object[];
    const keys = [
      ...Object.keys(sample ?? {}),
      'limit',
      'marker',
      'sort',
      'sort_key',
      'fields',
      'tags',
      'not-tags-any',
    ];
    for (const key of keys) {
      for (const value of hostile) {
        const text = typeof value === 'string' ? value : JSON.stringify(value);
        const query = new URLSearchParams({ [key]: (text ?? '').toWellFormed() });
        const answer = await api.send('GET', `/v2/lbaas/${list}?${query}`);
        assert.ok(answer.status < 500, `${list}?${query}: ${JSON.stringify(answer.body)}`);
      }
      assert.ok(
        (await api.send('GET', `/v2/lbaas/${list}?sort=${key}:desc`)).status < 500,
        `${list} by ${key}`,
      );
    }
  }
});

test.run();
