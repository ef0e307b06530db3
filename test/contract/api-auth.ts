import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openAccess } from '../../src/cli/serve/access.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import type { Network } from '../../src/providers/network.ts';
import { accountSettings, type Person, type TestKeystone } from '../support/keystone.ts';
import { type Answer, startHarness } from './api-harness.ts';

/** Who may do what to a load balancer of project alpha, by rule set: the status of each request. */
const READ = ['GET', '/v2/lbaas/loadbalancers/{lb}'] as const;
const WRITE = ['PUT', '/v2/lbaas/loadbalancers/{lb}', { loadbalancer: {} }] as const;
const FAILOVER = ['PUT', '/v2/lbaas/loadbalancers/{lb}/failover'] as const;
const ADMIN = ['GET', '/v2/octavia/amphorae'] as const;
const FLAVORS = ['GET', '/v2/lbaas/flavors'] as const;
const requests = { READ, WRITE, FAILOVER, ADMIN, FLAVORS };

type Row = [person: Person, ...statuses: number[]];
const tables: Record<Config['policy_rules'], Row[]> = {
  keystone: [
    ['alpha-member', 200, 200, 403, 403, 200],
    ['alpha-reader', 200, 403, 403, 403, 200],
    ['alpha-stranger', 403, 403, 403, 403, 403],
    ['beta-member', 403, 403, 403, 403, 200],
    ['beta-service', 403, 403, 403, 403, 403],
    ['operator', 200, 200, 202, 200, 200],
    ['lb-admin', 403, 403, 403, 403, 403],
  ],
  'load-balancer': [
    ['alpha-member', 403, 403, 403, 403, 403],
    ['observer', 200, 403, 403, 403, 200],
    ['global-observer', 200, 403, 403, 403, 200],
    ['lb-member', 200, 200, 403, 403, 200],
    ['quota-admin', 403, 403, 403, 403, 403],
    ['lb-admin', 200, 200, 202, 200, 200],
  ],
  owner: [
    ['alpha-stranger', 200, 200, 403, 403, 200],
    ['beta-member', 403, 403, 403, 403, 200],
    ['operator', 200, 200, 202, 200, 200],
  ],
};

/** What authentication promises, against any Keystone; with tokens that are believed for so long. */
export async function testAuthentication(keystone: TestKeystone, cacheSeconds: number): Promise<void> {
  const config = (changes: Partial<Config> = {}): Config => ({
    ...loadConfig({}, {}),
    auth: 'keystone',
    token_cache_seconds: cacheSeconds,
    ...accountSettings(keystone.url),
    ...changes,
  });
  const log = pino({ level: 'silent' });
  const api = await startHarness();
  const access: Awaited<ReturnType<typeof openAccess>>[] = [];
  const tokens = new Map<Person, string>();

  const tokenOf = async (person: Person) => {
    const token = tokens.get(person) ?? (await keystone.token(person));
    tokens.set(person, token);
    return token;
  };
  const as = async (person: Person, method: string, path: string, body?: unknown): Promise<Answer> =>
    api.send(method, path, body, { 'x-auth-token': await tokenOf(person) });
  const loadBalancer = (attributes: object = {}) => ({
    loadbalancer: { vip_subnet_id: randomUUID(), ...attributes },
  });
  const create = async (person: Person, attributes: object = {}) => {
    const answer = await as(person, 'POST', '/v2/lbaas/loadbalancers', loadBalancer(attributes));
    assert.is(answer.status, 201, JSON.stringify(answer.body));
    await api.settle();
    return answer.body.loadbalancer;
  };
  /** The API under other rules, on the same database. */
  const under = async (changes: Partial<Config>) => {
    const opened = await openAccess(config(changes), log);
    access.push(opened);
    Object.assign(api.dependencies, { access: opened.access });
  };

  await under({});
  test.after(async () => {
    await api.stop();
    for (const { close } of access) await close();
    await keystone.stop();
  });

  test('without a valid token nothing is answered but versions and health', async () => {
    const answers = [
      ...[undefined, '', 'nonsense', 'x'.repeat(20_000), 'a b'].map((token) => [token, '/v2/lbaas/pools']),
      ['nonsense', '/v2/nowhere'],
      ['nonsense', '/v2'],
    ] as [string | undefined, string][];
    for (const [token, path] of answers) {
      const answer = await api.send(
        'GET',
        path,
        undefined,
        token === undefined ? {} : { 'x-auth-token': token },
      );
      assert.is(answer.status, 401, `${path} with ${token}`);
      assert.is(answer.headers.get('www-authenticate'), `Keystone uri="${keystone.url}"`);
      assert.is(answer.body.faultcode, 'Client');
    }
    assert.is((await api.send('GET', '/')).status, 200);
    assert.is((await api.send('GET', '/healthcheck')).status, 200);
  });

  test('a network is looked at with the token of the caller: what he cannot see does not exist', async () => {
    const { network } = api.provider;
    const seenWith: string[] = [];
    const seenBy: Network['seenBy'] = (token) => {
      seenWith.push(token);
      return { ...network, getSubnet: async () => undefined };
    };
    const seen = Object.assign(Object.create(network), { seenBy });
    Object.assign(api.dependencies, { network: seen });
    const { status, body } = await as('alpha-member', 'POST', '/v2/lbaas/loadbalancers', loadBalancer());
    assert.is(status, 400, JSON.stringify(body));
    assert.match(body.faultstring, /Subnet .* not found/);
    assert.equal(seenWith, [await tokenOf('alpha-member')]);
    const { config: settings } = api.dependencies;
    Object.assign(api.dependencies, { config: { ...settings, allow_invisible_resources: true } });
    await create('alpha-member');
    assert.is(seenWith.length, 1);
    Object.assign(api.dependencies, { network, config: settings });
  });

  test('a token that is for no project is refused in words', async () => {
    const token = await keystone.token('alpha-member', null);
    const answer = await api.send('GET', '/v2/lbaas/pools', undefined, { 'x-auth-token': token });
    assert.is(answer.status, 403);
    assert.match(answer.body.faultstring, /scoped to a project/);
  });

  for (const [rules, rows] of Object.entries(tables)) {
    test(`with rules ${rules} each role may what the contract says, and a refused request changes nothing`, async () => {
      await under({ policy_rules: rules as Config['policy_rules'] });
      const owner = rules === 'load-balancer' ? 'lb-member' : 'alpha-member';
      const { id } = await create(owner);
      for (const [person, ...statuses] of rows) {
        for (const [index, [name, [method, path, body]]] of Object.entries(requests).entries()) {
          const answer = await as(person, method, path.replace('{lb}', id), body);
          assert.is(answer.status, statuses[index], `${person} ${name}: ${JSON.stringify(answer.body)}`);
          const refused = answer.status === 403;
          if (refused)
            assert.is(answer.body.faultstring, 'Policy does not allow this request to be performed.');
          if (refused && name === 'WRITE') {
            const { provisioning_status } = await api.db
              .selectFrom('load_balancers')
              .select('provisioning_status')
              .where('id', '=', id)
              .executeTakeFirstOrThrow();
            assert.is(provisioning_status, 'ACTIVE');
          }
          await api.settle();
        }
      }
    });
  }

  test('what is unknown is 404, what is another project’s is 403, also below it and in references', async () => {
    await under({});
    const own = await create('alpha-member', {
      listeners: [{ protocol: 'HTTP', protocol_port: 80 }],
      pools: [
        {
          name: 'p',
          protocol: 'HTTP',
          lb_algorithm: 'ROUND_ROBIN',
          members: [{ address: '10.0.0.1', protocol_port: 80 }],
        },
      ],
    });
    const { id: listener } = own.listeners[0];
    const { id: pool, members } = own.pools[0];
    const member = members[0].id;
    const newPool = { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
    const monitor = { type: 'TCP', delay: 1, timeout: 1, max_retries: 1 };
    const cases: [method: string, path: (id: string) => string, body: (id: string) => object, id: string][] =
      [
        ['GET', (id) => `listeners/${id}`, () => ({}), listener],
        ['DELETE', (id) => `pools/${id}`, () => ({}), pool],
        ['GET', (id) => `pools/${pool}/members/${id}`, () => ({}), member],
        ['GET', (id) => `pools/${id}/members`, () => ({}), pool],
        ['PUT', (id) => `pools/${id}/members`, () => ({ members: [] }), pool],
        [
          'POST',
          (id) => `pools/${id}/members`,
          () => ({ member: { address: '10.0.0.2', protocol_port: 1 } }),
          pool,
        ],
        [
          'POST',
          () => 'listeners',
          (id) => ({ listener: { loadbalancer_id: id, protocol: 'HTTP', protocol_port: 81 } }),
          own.id,
        ],
        ['POST', () => 'pools', (id) => ({ pool: { loadbalancer_id: id, ...newPool } }), own.id],
        ['POST', () => 'pools', (id) => ({ pool: { listener_id: id, ...newPool } }), listener],
        ['POST', () => 'healthmonitors', (id) => ({ healthmonitor: { pool_id: id, ...monitor } }), pool],
      ];
    for (const [method, path, body, id] of cases) {
      const ask = (person: Person, id: string) =>
        as(
          person,
          method,
          `/v2/lbaas/${path(id)}`,
          ['GET', 'DELETE'].includes(method) ? undefined : body(id),
        );
      for (const written of [id, id.toUpperCase()])
        assert.is((await ask('beta-member', written)).status, 403, `${method} ${path(written)}`);
      assert.is((await ask('alpha-member', randomUUID())).status, 404, `${method} ${path('unknown')}`);
    }
    assert.is(
      (await as('alpha-member', 'GET', `/v2/lbaas/pools/${pool}`)).body.pool.provisioning_status,
      'ACTIVE',
    );
  });

  test('lists show one’s own project; who may see all sees all, or the project that is asked for', async () => {
    await under({});
    const [mine, theirs] = [await create('alpha-member'), await create('beta-member')];
    const ids = async (person: Person, query = '') => {
      const answer = await as(person, 'GET', `/v2/lbaas/loadbalancers${query}`);
      return answer.status === 200
        ? answer.body.loadbalancers.map(({ id }: { id: string }) => id)
        : answer.status;
    };
    const { alpha, beta } = keystone.projects;
    const own = await ids('alpha-reader');
    assert.ok(own.includes(mine.id) && !own.includes(theirs.id));
    assert.equal(await ids('alpha-reader', `?project_id=${alpha}`), own);
    assert.is(await ids('alpha-reader', `?project_id=${beta}`), 403);
    assert.equal(await ids('beta-member'), [theirs.id]);
    const all = await ids('operator');
    assert.ok(all.includes(mine.id) && all.includes(theirs.id));
    assert.equal(await ids('operator', `?project_id=${beta}`), [theirs.id]);
    assert.is(await ids('alpha-reader', `?project_id=${alpha}&project_id=${beta}`), 400);
  });

  test('what is made belongs to the token’s project; to another only an administrator may give it', async () => {
    const { alpha, beta } = keystone.projects;
    assert.is((await create('alpha-member')).project_id, alpha);
    assert.is((await create('operator', { project_id: alpha })).project_id, alpha);
    for (const attribute of ['project_id', 'tenant_id']) {
      const answer = await as(
        'alpha-member',
        'POST',
        '/v2/lbaas/loadbalancers',
        loadBalancer({ [attribute]: beta }),
      );
      assert.is(answer.status, 403, attribute);
    }
    // Neither is there a way around it by a body that is read in two ways.
    const twice = `{"loadbalancer": {"vip_subnet_id": "${randomUUID()}", "project_id": "${alpha}", "project_id": "${beta}"}}`;
    assert.is((await as('alpha-member', 'POST', '/v2/lbaas/loadbalancers', twice)).status, 403);
  });

  test('the role service may list members, and nothing more', async () => {
    const { pools } = await create('alpha-member', {
      pools: [{ name: 'p', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' }],
    });
    const path = `/v2/lbaas/pools/${pools[0].id}`;
    assert.is((await as('beta-service', 'GET', `${path}/members`)).status, 200);
    assert.is((await as('beta-service', 'GET', path)).status, 403);
    const member = { address: '10.0.0.1', protocol_port: 1 };
    assert.is((await as('beta-service', 'POST', `${path}/members`, { member })).status, 403);
  });

  test('a batch of members needs the right to delete where it deletes', async () => {
    const { pools } = await create('alpha-member', {
      pools: [{ name: 'p', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' }],
    });
    const policy = { 'os_load-balancer_api:member:delete': '!' };
    const { access } = api.dependencies;
    const { Policy } = await import('../../src/http/auth/policy.ts');
    Object.assign(api.dependencies, {
      access: { ...access, policy: new Policy('keystone', { path: 'p.yaml', text: JSON.stringify(policy) }) },
    });
    const path = `/v2/lbaas/pools/${pools[0].id}/members`;
    const members = [{ address: '10.0.0.1', protocol_port: 1 }];
    assert.is((await as('alpha-member', 'PUT', path, { members })).status, 403);
    assert.is((await as('alpha-member', 'PUT', `${path}?additive_only=true`, { members })).status, 202);
    await api.settle();
    Object.assign(api.dependencies, { access });
  });

  test('a token is asked for once in a while, and a revoked one ends then', async () => {
    const token = await keystone.token('alpha-member');
    const read = () => api.send('GET', '/v2/lbaas/pools', undefined, { 'x-auth-token': token });
    const before = keystone.validations?.();
    const answers = await Promise.all(Array.from({ length: 20 }, read));
    assert.ok(answers.every(({ status }) => status === 200));
    if (before !== undefined) assert.is(keystone.validations?.(), before + 1);
    await keystone.revoke(token);
    await pause(cacheSeconds * 1000);
    assert.is((await read()).status, 401);
  });

  test('while Keystone is away requests with unknown tokens are told so, and work again when it is back', async () => {
    const token = await keystone.token('alpha-member');
    const read = () => api.send('GET', '/v2/lbaas/pools', undefined, { 'x-auth-token': token });
    await keystone.withoutIt(async () => {
      const answer = await read();
      assert.is(answer.status, 503);
      assert.match(answer.body.faultstring, /identity service/);
      assert.is((await api.send('GET', '/')).status, 200);
    });
    assert.is((await read()).status, 200);
  });

  test('a role that was taken away is gone with the cached token', async () => {
    const path = '/v2/lbaas/pools';
    assert.is((await as('beta-member', 'GET', path)).status, 200);
    await keystone.dismiss('beta-member');
    await pause(cacheSeconds * 1000);
    assert.is((await as('beta-member', 'GET', path)).status, 401);
  });

  test('wrong credentials of our own are found at start', async () => {
    try {
      await openAccess(config({ os_password: 'wrong' }), log);
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, /does not accept our account.*OS_/);
    }
  });
}
