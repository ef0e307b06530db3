import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MockAgent } from 'undici';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { Service } from '../../src/keystone/service.ts';
import { KeystoneSession } from '../../src/keystone/session.ts';
import { AmphoraeError } from '../../src/model/errors.ts';
import { OpenstackImages } from '../../src/providers/openstack/glance.ts';
import { OpenstackNetwork } from '../../src/providers/openstack/neutron.ts';
import { OpenstackCompute } from '../../src/providers/openstack/nova.ts';
import { faultOf, NovaServer } from '../../src/providers/openstack/nova-server.ts';
import { OpenstackSecurityGroups } from '../../src/providers/openstack/security-groups.ts';
import { ServerGroups } from '../../src/providers/openstack/server-groups.ts';

// Real answers of real services (test/openstack/samples), and what they mean to us.

interface Sample {
  request: { method: string; url: string; body: unknown };
  response: { status: number; headers: Record<string, string>; body: unknown };
}

const sample = (name: string): Sample =>
  JSON.parse(readFileSync(join(import.meta.dirname, '../openstack/samples', `${name}.json`), 'utf8'));

const KEYSTONE = 'http://127.0.0.1:15000';
const NOVA = 'http://127.0.0.1:18774';
const NEUTRON = 'http://127.0.0.1:19696';
const SERVER = '708e78ad-e513-4356-8319-c22f7d4f99f8';
const PORT = 'dd98ef70-38d4-4309-9274-233dd6855a5d';
const call = () => ({ signal: AbortSignal.timeout(5_000) });

const server = {
  name: 'amphora-x',
  amphoraId: 'x',
  loadBalancerId: 'y',
  portIds: [],
  files: async () => ({}),
};

/** A cloud that answers as recorded; every answer is used once, unless it is `persist`ed. */
function openCloud() {
  const mock = new MockAgent();
  mock.disableNetConnect();
  const answer = (origin: string, method: string, path: string | RegExp, { response }: Sample) =>
    mock
      .get(origin)
      .intercept({ method, path })
      .reply(response.status, response.body as object, { headers: response.headers });
  const token = sample('keystone-token');
  token.response.headers['X-Subject-Token'] = 'a-token';
  (token.response.body as { token: { expires_at: string } }).token.expires_at = new Date(
    Date.now() + 3_600_000,
  ).toISOString();
  const logIn = () => answer(KEYSTONE, 'POST', '/v3/auth/tokens', token);
  const session = new KeystoneSession(
    {
      authUrl: `${KEYSTONE}/v3`,
      method: { password: { user: { id: 'u' }, password: 'p', project: { id: 'p' } } },
    },
    mock,
  );
  const common = { session, facing: { interface: 'public', region: '' }, dispatcher: mock } as const;
  const neutron = new Service({ ...common, name: 'neutron', types: ['network'], base: '/v2.0' });
  const nova = new Service({ ...common, name: 'nova', types: ['compute'] });
  const network = new OpenstackNetwork(neutron);
  const compute = new OpenstackCompute({
    nova,
    network,
    images: new OpenstackImages(nova, undefined),
    groups: new ServerGroups(nova, 'anti-affinity'),
    options: {
      computeFlavor: 'f',
      imageTag: 'amphora',
      managementNetworks: ['m'],
      managementSecurityGroups: [],
      zone: undefined,
      keyName: undefined,
    },
  });
  return { mock, answer, logIn, neutron, network, compute };
}

async function failure(work: Promise<unknown>): Promise<AmphoraeError> {
  const error = await work.then(
    () => assert.unreachable('it succeeded'),
    (reason) => reason,
  );
  assert.instance(error, AmphoraeError, String(error));
  return error as AmphoraeError;
}

const plugs: [name: string, kind: string, code: string][] = [
  ['os-interface-attach-vf-exhausted', 'placement', 'no_vf_left'],
  ['os-interface-attach-binding-failed', 'placement', 'port_binding_failed'],
  ['os-interface-attach-compute-dead', 'transient', 'compute_unresponsive'],
  ['os-interface-attach-port-in-use', 'terminal', 'port_in_use'],
  ['os-interface-attach-port-not-found', 'terminal', 'not_found'],
  ['os-interface-attach-server-not-found', 'terminal', 'not_found'],
  ['os-interface-attach-server-error', 'terminal', 'server_failed'],
];
for (const [name, kind, code] of plugs) {
  test(`a plug answered with ${name} is ${kind}, ${code}, with the words and the request of Nova`, async () => {
    const { mock, answer, logIn, compute } = openCloud();
    logIn();
    const unplugged = sample('port-create-direct');
    unplugged.response.status = 200;
    answer(NEUTRON, 'GET', `/v2.0/ports/${PORT}`, unplugged).persist();
    const refused = sample(name);
    answer(NOVA, 'POST', `/v2.1/servers/${SERVER}/os-interface`, refused);
    const error = await failure(compute.attachPort(SERVER, PORT, call()));
    assert.equal([error.kind, error.code], [kind, code], error.message);
    const said =
      Object.values(refused.response.body as Record<string, { message: string }>)[0]?.message ?? '';
    assert.ok(error.message.includes(said.trim()), error.message);
    assert.match(error.message, /request req-/);
    await mock.close();
  });
}

const faults: [name: string, kind: string, code: string][] = [
  ['server-fault-novalidhost-placement', 'placement', 'no_valid_host'],
  ['server-fault-novalidhost-filters', 'placement', 'no_valid_host'],
  ['server-fault-novalidhost-vf-exhausted', 'placement', 'no_valid_host'],
  ['server-fault-vf-exhausted-stale-scheduler', 'placement', 'no_valid_host'],
  ['server-fault-anti-affinity', 'placement', 'no_valid_host'],
  ['server-fault-binding-failed', 'placement', 'no_valid_host'],
];
for (const [name, kind, code] of faults) {
  test(`a server in ERROR with ${name} is ${kind}, ${code}`, () => {
    const { server } = z.object({ server: NovaServer }).parse(sample(name).response.body);
    const error = faultOf(server);
    assert.equal([error.kind, error.code], [kind, code], error.message);
  });
}

test('an address that is taken is said to be in use', async () => {
  const { mock, answer, logIn, network } = openCloud();
  logIn();
  const none = {
    request: sample('port-not-found').request,
    response: { status: 200, headers: {}, body: { ports: [] } },
  };
  answer(NEUTRON, 'GET', /^\/v2\.0\/ports\?/, none);
  answer(NEUTRON, 'POST', '/v2.0/ports', sample('port-create-duplicate-ip'));
  const spec = { name: 'octavia-lb-x', networkId: 'n', vnicType: 'normal', adminStateUp: true } as const;
  const error = await failure(network.createPort(spec, call()));
  assert.equal([error.kind, error.code], ['terminal', 'address_in_use']);
  await mock.close();
});

test('a quota that is used up is a failed placement, whichever service says so', async () => {
  const { mock, answer, logIn, network, compute } = openCloud();
  logIn();
  const says = (body: object) => ({
    request: sample('server-create').request,
    response: { status: 200, headers: {}, body },
  });
  answer(NEUTRON, 'GET', /^\/v2\.0\/ports\?/, says({ ports: [] }));
  answer(NEUTRON, 'POST', '/v2.0/ports', sample('port-create-quota-exceeded'));
  const port = { name: 'octavia-lb-x', networkId: 'n', vnicType: 'normal', adminStateUp: true } as const;
  const ofPorts = await failure(network.createPort(port, call()));
  answer(NOVA, 'GET', /servers\/detail/, says({ servers: [] }));
  answer(NOVA, 'GET', /images/, says({ images: [{ id: 'i', name: 'amphora' }] }));
  answer(NOVA, 'POST', '/v2.1/servers', sample('server-create-quota-exceeded'));
  const ofServers = await failure(compute.create(server, call()));
  for (const { kind, code, message } of [ofPorts, ofServers]) {
    assert.equal([kind, code], ['placement', 'quota_exceeded'], message);
    assert.match(message, /Quota exceeded .*raise the quota of the service project/);
  }
  await mock.close();
});

test('a port that two ask for at once is made once', async () => {
  const { mock, answer, logIn, network } = openCloud();
  logIn();
  const { request } = sample('port-not-found');
  answer(NEUTRON, 'GET', /^\/v2\.0\/ports\?/, {
    request,
    response: { status: 200, headers: {}, body: { ports: [] } },
  });
  const made = sample('port-create-direct');
  answer(NEUTRON, 'POST', '/v2.0/ports', made);
  const id = (made.response.body as { port: { network_id: string } }).port.network_id;
  const body = { network: { id, name: 'n', mtu: 1500, subnets: [] } };
  answer(NEUTRON, 'GET', `/v2.0/networks/${id}`, { request, response: { status: 200, headers: {}, body } });
  const spec = { name: 'octavia-lb-x', networkId: id, vnicType: 'direct', adminStateUp: true } as const;
  const [one, other] = await Promise.all([
    network.createPort(spec, call()),
    network.createPort(spec, call()),
  ]);
  assert.is(one.id, other.id);
  mock.assertNoPendingInterceptors();
  await mock.close();
});

test('a token that a service refuses in mid-flow is replaced, and the call is made again', async () => {
  const { mock, answer, logIn, compute } = openCloud();
  logIn();
  answer(NOVA, 'GET', `/v2.1/servers/${SERVER}`, sample('nova-bad-token'));
  logIn();
  answer(NOVA, 'GET', `/v2.1/servers/${SERVER}`, sample('server-active'));
  const interfaces = sample('os-interface-list');
  answer(NOVA, 'GET', `/v2.1/servers/${SERVER}/os-interface`, interfaces);
  assert.is((await compute.status(SERVER, call()))?.state, 'ACTIVE');
  mock.assertNoPendingInterceptors();
  await mock.close();
});

test('a token that is refused twice is an error of the account, not a loop', async () => {
  const { mock, answer, logIn, compute } = openCloud();
  logIn();
  answer(NOVA, 'GET', `/v2.1/servers/${SERVER}`, sample('nova-bad-token')).times(2);
  logIn();
  const error = await failure(compute.status(SERVER, call()));
  assert.equal([error.kind, error.code], ['terminal', 'openstack_unauthorized']);
  await mock.close();
});

test('wrong credentials say so', async () => {
  const { mock, answer, compute } = openCloud();
  answer(KEYSTONE, 'POST', '/v3/auth/tokens', sample('keystone-token-bad-password'));
  const error = await failure(compute.status(SERVER, call()));
  assert.equal([error.kind, error.code], ['terminal', 'keystone_credentials']);
  assert.match(error.message, /OS_\*/);
  await mock.close();
});

test('a busy service is asked again after as long as it says', async () => {
  const { mock, answer, logIn, compute } = openCloud();
  logIn();
  for (const status of [429, 503]) {
    const busy = { ...sample('nova-bad-token') };
    busy.response = { status, headers: { 'retry-after': '0.05' }, body: { message: 'busy' } };
    answer(NOVA, 'GET', `/v2.1/servers/${SERVER}`, busy);
  }
  const gone = sample('server-get-after-delete');
  answer(NOVA, 'GET', `/v2.1/servers/${SERVER}`, gone);
  const startedAt = performance.now();
  assert.is(await compute.status(SERVER, call()), undefined);
  assert.ok(performance.now() - startedAt >= 100);
  await mock.close();
});

test('a connection that is lost after the request was sent is transient', async () => {
  const { mock, logIn, compute } = openCloud();
  logIn();
  mock
    .get(NOVA)
    .intercept({ method: 'GET', path: `/v2.1/servers/${SERVER}` })
    .replyWithError(new Error('other side closed'));
  const error = await failure(compute.status(SERVER, call()));
  assert.equal([error.kind, error.code], ['transient', 'openstack_unreachable']);
  await mock.close();
});

test('a security group is brought up to date once in an epoch, however many ask for the same', async () => {
  const { mock, answer, logIn, neutron } = openCloud();
  logIn();
  const groups = new OpenstackSecurityGroups(neutron);
  const { request } = sample('security-group-rule-create');
  const rule = (sample('security-group-rule-create').response.body as { security_group_rule: object })
    .security_group_rule;
  const says = (body: object) => ({ request, response: { status: 200, headers: {}, body } });
  const look = /^\/v2\.0\/security-groups\?/;
  answer(NEUTRON, 'GET', look, says({ security_groups: [] }));
  const made = { security_group: { id: 'g', security_group_rules: [] } };
  answer(NEUTRON, 'POST', '/v2.0/security-groups', says(made));
  answer(NEUTRON, 'POST', '/v2.0/security-group-rules', says({}));
  const rules = [{ ethertype: 'IPv4', protocol: 'tcp', port: 80 }] as const;
  const ensure = (epoch: number | undefined) => groups.ensure('lb-x', [...rules], { ...call(), epoch });
  assert.equal(await Promise.all([ensure(1), ensure(1)]), ['g', 'g']);
  assert.is(await ensure(1), 'g');
  mock.assertNoPendingInterceptors();
  const stored = { ...rule, ethertype: 'IPv4', protocol: 'tcp', port_range_min: 80, port_range_max: 80 };
  const present = {
    id: 'g',
    security_group_rules: [{ ...stored, remote_ip_prefix: null, remote_group_id: null }],
  };
  // Another node had the load balancer meanwhile; and who has no epoch cannot know.
  for (const epoch of [3, undefined, undefined]) {
    answer(NEUTRON, 'GET', look, says({ security_groups: [present] }));
    assert.is(await ensure(epoch), 'g');
    mock.assertNoPendingInterceptors();
  }
  await mock.close();
});

test('a network is looked at with the token of who asks for it', async () => {
  const { mock, logIn, network } = openCloud();
  logIn();
  const tokens: unknown[] = [];
  mock
    .get(NEUTRON)
    .intercept({ method: 'GET', path: '/v2.0/subnets/s' })
    .reply((options) => {
      tokens.push(new Headers(options.headers as Record<string, string>).get('x-auth-token'));
      const { status, body } = sample('port-not-found').response;
      return { statusCode: status, data: body as object };
    })
    .times(2);
  assert.is(await network.seenBy('of-a-user').getSubnet('s', call()), undefined);
  assert.is(await network.getSubnet('s', call()), undefined);
  assert.equal(tokens, ['of-a-user', 'a-token']);
  await mock.close();
});

test('a port whose making was not answered is found by its name, and not made again', async () => {
  const { mock, answer, logIn, network } = openCloud();
  logIn();
  const { request } = sample('port-not-found');
  const says = (body: object) => ({ request, response: { status: 200, headers: {}, body } });
  const { port } = sample('port-create-direct').response.body as { port: { id: string; network_id: string } };
  const id = port.network_id;
  answer(NEUTRON, 'GET', /^\/v2\.0\/ports\?/, says({ ports: [] }));
  mock
    .get(NEUTRON)
    .intercept({ method: 'POST', path: '/v2.0/ports' })
    .replyWithError(new Error('other side closed'));
  const spec = { name: 'octavia-lb-x', networkId: id, vnicType: 'direct', adminStateUp: true } as const;
  const error = await failure(network.createPort(spec, call()));
  assert.equal([error.kind, error.code], ['transient', 'openstack_unreachable']);
  answer(NEUTRON, 'GET', /^\/v2\.0\/ports\?/, says({ ports: [port] }));
  answer(
    NEUTRON,
    'GET',
    `/v2.0/networks/${id}`,
    says({ network: { id, name: 'n', mtu: 1500, subnets: [] } }),
  );
  assert.is((await network.createPort(spec, call())).id, port.id);
  mock.assertNoPendingInterceptors();
  await mock.close();
});

test('an unknown availability zone is no valid host', async () => {
  const { mock, answer, logIn, compute } = openCloud();
  logIn();
  answer(NOVA, 'GET', /servers\/detail/, {
    request: sample('server-create').request,
    response: { status: 200, headers: {}, body: { servers: [] } },
  });
  answer(NOVA, 'GET', /images/, {
    request: sample('server-create').request,
    response: { status: 200, headers: {}, body: { images: [{ id: 'i', name: 'amphora' }] } },
  });
  answer(NOVA, 'POST', '/v2.1/servers', sample('server-create-nonexistent-az'));
  const error = await failure(compute.create({ ...server, zone: 'nowhere' }, call()));
  assert.equal([error.kind, error.code], ['placement', 'no_valid_host']);
  await mock.close();
});

test.run();
