import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../../src/config.ts';
import { sweepVipIntents } from '../../src/http/app.ts';
import { TerminalError } from '../../src/model/errors.ts';
import { startHarness } from './api-harness.ts';

const config = loadConfig({}, {});
const api = await startHarness({ config });
test.after(() => api.stop());
test.after.each(() => api.provider.failures.set([]));

const PATH = '/v2/lbaas/loadbalancers';
const vip = () => ({ vip_subnet_id: randomUUID() });
const call = () => ({ signal: AbortSignal.timeout(1000) });
const ports = () => api.provider.network.listPorts({}, call());
const count = async (table: 'load_balancers' | 'vip_intents' | 'actors' | 'messages') =>
  (await api.db.selectFrom(table).selectAll().execute()).length;

test('a created load balancer has every attribute, an address, a port and an actor', async () => {
  const subnet = randomUUID();
  const body = { name: 'web', vip_subnet_id: subnet, tenant_id: 'me', tags: ['a'], admin_state_up: 'no' };
  const created = await api.expect(201, 'POST', PATH, { loadbalancer: body });
  const { id, created_at, vip_address, vip_port_id, ...rest } = created;
  assert.match(created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  assert.match(vip_address, /^198\.1[89]\./);
  assert.equal(rest, {
    name: 'web',
    project_id: 'me',
    tenant_id: 'me',
    admin_state_up: false,
    provisioning_status: 'PENDING_CREATE',
    operating_status: 'OFFLINE',
    provisioning_error: null,
    tags: ['a'],
    updated_at: null,
    description: '',
    provider: 'amphora',
    flavor_id: null,
    availability_zone: null,
    vip_subnet_id: subnet,
    vip_network_id: subnet,
    vip_qos_policy_id: null,
    vip_vnic_type: 'normal',
    vip_sg_ids: [],
    additional_vips: [],
    listeners: [],
    pools: [],
  });
  const port = (await ports()).find((port) => port.id === vip_port_id);
  assert.is(port?.name, `octavia-lb-${id}`);
  assert.is(port?.deviceId, `lb-${id}`);

  const actor = await api.db.selectFrom('actors').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  assert.is(actor.kind, 'load-balancer');
  const input = actor.input as { loadBalancerId: string; topology: string; amphoraIds: string[] };
  assert.equal([input.loadBalancerId, input.topology, input.amphoraIds.length], [id, 'SINGLE', 1]);
  assert.is(api.published.at(-1)?.actorId, id);
  assert.is(await count('vip_intents'), 0);
  assert.equal((await api.send('GET', `${PATH}/${id}`)).body.loadbalancer, created);
});

test('invalid requests are refused by name and leave no trace', async () => {
  const before = [await count('load_balancers'), await count('messages'), (await ports()).length];
  const cases: [number, RegExp, object][] = [
    [400, /vip_port_id, vip_network_id, vip_subnet_id/, {}],
    [400, /attribute vip_subnet_id\. Value: 'x'\. Value should be UUID format/, { vip_subnet_id: 'x' }],
    [400, /Unknown attribute for loadbalancer: vip_vnic_type/, { ...vip(), vip_vnic_type: 'direct' }],
    [400, /Unknown attribute for loadbalancer: id/, { ...vip(), id: randomUUID() }],
    [400, /attribute name\..*255/, { ...vip(), name: 'x'.repeat(256) }],
    [400, /attribute name\..*NUL/, { ...vip(), name: 'a\0b' }],
    [400, /attribute name\..*Unicode/, { ...vip(), name: 'a\ud800b' }],
    [400, /attribute name\..*Wrong type/, { ...vip(), name: 5 }],
    [400, /attribute admin_state_up/, { ...vip(), admin_state_up: 'True' }],
    [400, /attribute vip_address/, { ...vip(), vip_address: '10.0.0.0/8' }],
    [400, /attribute vip_address/, { ...vip(), vip_address: 'host.example' }],
    [400, /attribute vip_address/, { vip_network_id: randomUUID(), vip_address: '10.1.1.1' }],
    [400, /attribute project_id/, { ...vip(), project_id: 'x'.repeat(37) }],
    [400, /attribute tags\.0/, { ...vip(), tags: ['x'.repeat(256)] }],
    [400, /Flavor .* not found/, { ...vip(), flavor_id: randomUUID() }],
    [400, /Availability Zone nova not found/, { ...vip(), availability_zone: 'nova' }],
    [400, /attribute provider\. Value: 'f5'/, { ...vip(), provider: 'f5' }],
    [400, /attribute vip_qos_policy_id/, { ...vip(), vip_qos_policy_id: 'gold' }],
    [400, /attribute vip_sg_ids\.0/, { ...vip(), vip_sg_ids: ['web'] }],
    [400, /additional_vips\.0\.subnet_id.*Mandatory/, { ...vip(), additional_vips: [{}] }],
    [
      400,
      /attribute additional_vips.*network of the VIP/,
      { ...vip(), additional_vips: [{ subnet_id: randomUUID() }] },
    ],
  ];
  for (const [status, text, loadbalancer] of cases)
    await api.refuse(status, text, 'POST', PATH, { loadbalancer });
  assert.equal([await count('load_balancers'), await count('messages'), (await ports()).length], before);
  assert.is(await count('vip_intents'), 0);
});

test('the VIP comes from a subnet, a network or the user’s own port', async () => {
  const network = randomUUID();
  assert.is(
    (await api.createLoadBalancer({ vip_network_id: network, vip_subnet_id: null })).vip_subnet_id,
    network,
  );
  const addressed = await api.createLoadBalancer({ vip_address: '198.18.7.7' });
  assert.is(addressed.vip_address, '198.18.7.7');

  const own = await api.provider.network.createPort(
    {
      name: 'own',
      networkId: network,
      vnicType: 'normal',
      adminStateUp: true,
    },
    call(),
  );
  const loadbalancer = { vip_port_id: own.id };
  const created = await api.expect(201, 'POST', PATH, { loadbalancer });
  assert.equal([created.vip_port_id, created.vip_address], [own.id, own.fixedIps[0]?.ipAddress]);
  const row = await api.db
    .selectFrom('load_balancers')
    .selectAll()
    .where('id', '=', created.id)
    .executeTakeFirst();
  assert.is(row?.vip_port_owned, false);
  await api.refuse(400, /VIP of another load balancer/, 'POST', PATH, { loadbalancer });

  const used = await api.provider.network.createPort(
    {
      name: 'used',
      networkId: network,
      vnicType: 'normal',
      adminStateUp: true,
      deviceId: 'server',
    },
    call(),
  );
  await api.refuse(400, /vip_port_id.*in use by server/, 'POST', PATH, {
    loadbalancer: { vip_port_id: used.id },
  });
  await api.refuse(400, /vip_address.*not an address of port/, 'POST', PATH, {
    loadbalancer: { vip_port_id: randomUUID(), vip_address: '10.1.1.1' },
  });
});

test('in a network, the first subnet that has room for VIP and amphorae is taken, of IPv4 before IPv6', async () => {
  const { network } = api.dependencies;
  const [six, full, tight, roomy] = Array.from({ length: 4 }, () => randomUUID());
  const free = new Map(
    [six, full, tight, roomy].map((id, index) => [id ?? '', [1_000, 1, 2, 3][index] ?? 0]),
  );
  api.dependencies.network = Object.create(network, {
    getNetwork: {
      value: async (id: string) => ({
        ...(await network.getNetwork(id, call())),
        subnetIds: [...free.keys()],
      }),
    },
    getSubnet: {
      value: async (id: string) => ({
        ...(await network.getSubnet(id, call())),
        ipVersion: id === six ? 6 : 4,
      }),
    },
    freeAddresses: { value: async () => free },
  });
  const subnetOfVip = async () =>
    (await api.createLoadBalancer({ vip_subnet_id: null, vip_network_id: randomUUID() })).vip_subnet_id;
  try {
    assert.is(await subnetOfVip(), tight);
    Object.assign(config, { default_topology: 'ACTIVE_STANDBY' });
    assert.is(await subnetOfVip(), roomy);
    free.set(roomy ?? '', 2);
    assert.is(await subnetOfVip(), six);
    free.set(six ?? '', 2);
    await api.refuse(400, /vip_network_id.*no subnet with enough free addresses/, 'POST', PATH, {
      loadbalancer: { vip_network_id: randomUUID() },
    });
  } finally {
    Object.assign(config, { default_topology: 'SINGLE' });
    api.dependencies.network = network;
  }
});

test('a network without port security is no place for a VIP', async () => {
  const { network } = api.dependencies;
  const before = (await ports()).length;
  api.dependencies.network = Object.create(network, {
    getNetwork: {
      value: async (id: string) => ({ ...(await network.getNetwork(id, call())), portSecurity: false }),
    },
  });
  try {
    await api.refuse(500, /^Port security must be enabled on the VIP network/, 'POST', PATH, {
      loadbalancer: vip(),
    });
  } finally {
    api.dependencies.network = network;
  }
  assert.equal([(await ports()).length, await count('vip_intents')], [before, 0]);
});

test('the operator can forbid ways to ask for a VIP', async () => {
  const subnetOnly = { allow_vip_port_id: false, allow_vip_network_id: false };
  Object.assign(config, subnetOnly);
  for (const kind of ['vip_port_id', 'vip_network_id'])
    await api.refuse(400, new RegExp(`${kind} is disabled`), 'POST', PATH, {
      loadbalancer: { [kind]: randomUUID() },
    });
  await api.refuse(400, /needs one of vip_subnet_id\./, 'POST', PATH, { loadbalancer: {} });
  await api.expect(201, 'POST', PATH, { loadbalancer: vip() });
  Object.assign(config, loadConfig({}, {}));
});

test('an address in use is a conflict, and a failing provider leaves no trace', async () => {
  const subnet = randomUUID();
  await api.createLoadBalancer({ vip_subnet_id: subnet, vip_address: '198.18.9.9' });
  const loadbalancer = { vip_subnet_id: subnet, vip_address: '198.18.9.9' };
  await api.refuse(409, /198\.18\.9\.9 is in use/, 'POST', PATH, { loadbalancer });

  const before = (await ports()).length;
  api.provider.failures.set(['createPort:placement']);
  await api.refuse(409, /./, 'POST', PATH, { loadbalancer: vip() });
  api.provider.failures.set(['createPort:transient']);
  await api.refuse(500, /./, 'POST', PATH, { loadbalancer: vip() });
  const { network } = api.dependencies;
  for (const [code, status] of [
    ['openstack_conflict', 409],
    ['invalid_address', 400],
    ['openstack_refused', 500],
  ] as const) {
    const createPort = { value: () => Promise.reject(new TerminalError(code, 'neutron said so')) };
    api.dependencies.network = Object.create(network, { createPort });
    await api.refuse(status, /^neutron said so$/, 'POST', PATH, { loadbalancer: vip() });
  }
  api.dependencies.network = network;
  // Refused after the port was made: two listeners on one port.
  api.provider.failures.set([]);
  const listeners = [80, 80].map((protocol_port) => ({ protocol: 'HTTP', protocol_port }));
  await api.refuse(409, /port 80/, 'POST', PATH, { loadbalancer: { ...vip(), listeners } });
  assert.is((await ports()).length, before);
  assert.is(await count('vip_intents'), 0);
});

test('a port whose load balancer was never stored is swept once its intent expires', async () => {
  const before = (await ports()).length;
  api.provider.failures.set(['deletePort:transient']);
  const listeners = [80, 80].map((protocol_port) => ({ protocol: 'HTTP', protocol_port }));
  await api.refuse(409, /port 80/, 'POST', PATH, { loadbalancer: { ...vip(), listeners } });
  assert.equal([(await ports()).length, await count('vip_intents')], [before + 1, 1]);

  api.provider.failures.set([]);
  assert.is(await sweepVipIntents(api.db, api.provider.network), 0, 'not before its time');
  await api.db.updateTable('vip_intents').set({ expires_at: '-infinity' }).execute();
  assert.is(await sweepVipIntents(api.db, api.provider.network), 1);
  assert.equal([(await ports()).length, await count('vip_intents')], [before, 0]);
});

test('the flavor decides vNIC type, topology and provider', async () => {
  const flavor_id = await api.createFlavor({ sriov_vip: true, loadbalancer_topology: 'ACTIVE_STANDBY' });
  const created = await api.createLoadBalancer({ flavor_id });
  assert.is(created.vip_vnic_type, 'direct');
  const actor = await api.db
    .selectFrom('actors')
    .selectAll()
    .where('id', '=', created.id)
    .executeTakeFirstOrThrow();
  assert.is((actor.input as { amphoraIds: string[] }).amphoraIds.length, 2);
  await api.refuse(400, /provider.*is for provider amphora/, 'POST', PATH, {
    loadbalancer: { ...vip(), flavor_id, provider: 'octavia' },
  });
  assert.is((await api.createLoadBalancer({ provider: 'octavia' })).provider, 'octavia');
  assert.is((await api.createLoadBalancer({ provider: '' })).provider, 'amphora');

  await api.expect(200, 'PUT', `/v2/lbaas/flavors/${flavor_id}`, { flavor: { enabled: false } });
  await api.refuse(400, /flavor is disabled/, 'POST', PATH, { loadbalancer: { ...vip(), flavor_id } });
});

test('an update changes what it names, locks the load balancer and tells its actor', async () => {
  const { id } = await api.createLoadBalancer({ name: 'a', description: 'd' });
  const updated = await api.expect(200, 'PUT', `${PATH}/${id}`, { loadbalancer: { name: 'b', tags: null } });
  assert.equal(
    [updated.name, updated.description, updated.tags, updated.provisioning_status],
    ['b', 'd', [], 'PENDING_UPDATE'],
  );
  const row = await api.db
    .selectFrom('load_balancers')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  assert.equal([row.desired_revision, row.revision], [2, 2]);
  const event = { type: 'CHANGED', revision: 2, memberPorts: false, subject: 'loadBalancer' };
  assert.equal(api.published.at(-1)?.event, event);

  await api.refuse(
    409,
    new RegExp(`Invalid state PENDING_UPDATE of loadbalancer resource ${id}`),
    'PUT',
    `${PATH}/${id}`,
    {
      loadbalancer: {},
    },
  );
  await api.settle();
  assert.is(
    (await api.expect(200, 'PUT', `${PATH}/${id}`, { loadbalancer: {} })).provisioning_status,
    'PENDING_UPDATE',
  );
  await api.settle();
  for (const immutable of [
    'vip_address',
    'provider',
    'flavor_id',
    'availability_zone',
    'project_id',
    'vip_subnet_id',
  ]) {
    await api.refuse(400, new RegExp(immutable), 'PUT', `${PATH}/${id}`, {
      loadbalancer: { [immutable]: null },
    });
  }
  await api.refuse(404, /Load Balancer .* not found/, 'PUT', `${PATH}/${randomUUID()}`, { loadbalancer: {} });
});

test('security groups and a QoS policy of the VIP are checked, kept, changed and cleared', async () => {
  const [policy, group, other] = [randomUUID(), randomUUID(), randomUUID()];
  const options = (balancer: { vip_sg_ids: string[]; vip_qos_policy_id: string | null }) => [
    balancer.vip_qos_policy_id,
    balancer.vip_sg_ids,
  ];
  const created = await api.createLoadBalancer({ vip_qos_policy_id: policy, vip_sg_ids: [group, group] });
  assert.equal(options(created), [policy, [group]]);
  const port = (await ports()).find(({ id }) => id === created.vip_port_id);
  assert.equal(port?.securityGroupIds, [group]);
  const path = `${PATH}/${created.id}`;
  const change = async (loadbalancer: object) => {
    const updated = await api.expect(200, 'PUT', path, { loadbalancer });
    await api.settle();
    return options(updated);
  };
  assert.equal(await change({ vip_sg_ids: [other, group] }), [policy, [other, group]]);
  const event = { type: 'CHANGED', revision: 2, memberPorts: true, subject: 'loadBalancer' };
  assert.equal(api.published.at(-1)?.event, event);
  assert.equal(await change({ name: 'b' }), [policy, [other, group]]);
  assert.equal(await change({ vip_qos_policy_id: null, vip_sg_ids: null }), [null, []]);
  assert.equal(options(await api.createLoadBalancer({ vip_qos_policy_id: null, vip_sg_ids: null })), [
    null,
    [],
  ]);
});

test('a load balancer inherits the QoS policy of the port that its VIP is given', async () => {
  const networkId = randomUUID();
  const [policy, own] = [randomUUID(), randomUUID()];
  const make = (name: string) =>
    api.provider.network.createPort(
      { name, networkId, vnicType: 'normal', adminStateUp: true, qosPolicyId: policy },
      call(),
    );
  const inherited = { vip_port_id: (await make('inherited')).id };
  assert.is((await api.createLoadBalancer({ vip_subnet_id: null, ...inherited })).vip_qos_policy_id, policy);
  const chosen = { vip_port_id: (await make('chosen')).id, vip_qos_policy_id: own };
  assert.is((await api.createLoadBalancer({ vip_subnet_id: null, ...chosen })).vip_qos_policy_id, own);
});

test('security groups and policies that are unknown, or that the provider does not have, are refused', async () => {
  const { network } = api.dependencies;
  const { id } = await api.createLoadBalancer();
  const refused = async (text: (what: string) => RegExp) => {
    for (const [what, attributes] of [
      ['QoS Policy', { vip_qos_policy_id: randomUUID() }],
      ['Security Group', { vip_sg_ids: [randomUUID()] }],
    ] as const) {
      await api.refuse(400, text(what), 'POST', PATH, { loadbalancer: { ...vip(), ...attributes } });
      await api.refuse(400, text(what), 'PUT', `${PATH}/${id}`, { loadbalancer: attributes });
    }
  };
  try {
    api.dependencies.network = Object.create(network, { hasPortOption: { value: async () => false } });
    await refused((what) => new RegExp(`^${what} [0-9a-f-]{36} not found\\.$`));
    api.dependencies.network = Object.create(network, { hasPortOption: { value: undefined } });
    await refused((what) => new RegExp(`network provider has no ${what}`));
  } finally {
    api.dependencies.network = network;
  }
  await api.expect(200, 'PUT', `${PATH}/${id}`, { loadbalancer: {} });
});

test('security groups of the VIP exclude VFs and allowed_cidrs', async () => {
  const vip_sg_ids = [randomUUID()];
  const listener = (attributes: object) => ({ protocol: 'TCP', protocol_port: 80, ...attributes });
  const closed = listener({ allowed_cidrs: ['10.0.0.0/8'] });
  const flavor_id = await api.createFlavor({ sriov_vip: true });
  const onVf = await api.createLoadBalancer({ flavor_id });
  await api.refuse(400, /vip_sg_ids.*VF/, 'POST', PATH, {
    loadbalancer: { ...vip(), flavor_id, vip_sg_ids },
  });
  await api.refuse(400, /vip_sg_ids.*VF/, 'PUT', `${PATH}/${onVf.id}`, { loadbalancer: { vip_sg_ids } });
  await api.refuse(400, /allowed_cidrs.*vip_sg_ids/, 'POST', PATH, {
    loadbalancer: { ...vip(), vip_sg_ids, listeners: [closed] },
  });

  const { id, listeners } = await api.createLoadBalancer({ listeners: [closed] });
  const put = { loadbalancer: { vip_sg_ids } };
  await api.refuse(400, /vip_sg_ids.*allowed_cidrs/, 'PUT', `${PATH}/${id}`, put);
  const below = '/v2/lbaas/listeners';
  const [{ id: listenerId }] = listeners;
  await api.expect(200, 'PUT', `${below}/${listenerId}`, { listener: { allowed_cidrs: [] } });
  await api.settle();
  await api.expect(200, 'PUT', `${PATH}/${id}`, put);
  await api.settle();
  await api.refuse(400, /allowed_cidrs.*vip_sg_ids/, 'PUT', `${below}/${listenerId}`, {
    listener: { allowed_cidrs: ['10.0.0.0/8'] },
  });
  await api.refuse(400, /allowed_cidrs.*vip_sg_ids/, 'POST', below, {
    listener: { ...closed, protocol_port: 81, loadbalancer_id: id },
  });
  await api.expect(200, 'PUT', `${PATH}/${id}`, { loadbalancer: { vip_sg_ids: [] } });
});

test('of two writes at the same time one is refused', async () => {
  const { id } = await api.createLoadBalancer();
  const answers = await Promise.all(
    [1, 2, 3].map((name) => api.send('PUT', `${PATH}/${id}`, { loadbalancer: { name: String(name) } })),
  );
  assert.equal(answers.map(({ status }) => status).sort(), [200, 409, 409]);
});

test('deletion needs cascade when there are children, and ACTIVE or ERROR', async () => {
  const { id } = await api.createLoadBalancer({ listeners: [{ protocol: 'HTTP', protocol_port: 80 }] });
  await api.expect(200, 'PUT', `${PATH}/${id}`, { loadbalancer: {} });
  await api.refuse(400, /has children/, 'DELETE', `${PATH}/${id}`);
  await api.refuse(409, /Invalid state PENDING_UPDATE/, 'DELETE', `${PATH}/${id}?cascade=True`);
  await api.db
    .updateTable('load_balancers')
    .set({ provisioning_status: 'ERROR', error_code: 'no_vf_left', error_message: 'none left' })
    .where('id', '=', id)
    .execute();
  const { loadbalancer } = (await api.send('GET', `${PATH}/${id}`)).body;
  assert.equal(loadbalancer.provisioning_error, { code: 'no_vf_left', message: 'none left' });
  await api.refuse(409, /Load Balancer .* is immutable/, 'POST', '/v2/lbaas/pools', {
    pool: { loadbalancer_id: id, protocol: 'TCP', lb_algorithm: 'ROUND_ROBIN' },
  });

  const answer = await api.send('DELETE', `${PATH}/${id}?cascade=1`);
  assert.equal([answer.status, answer.body, answer.headers.get('content-type')], [204, '', null]);
  assert.equal(api.published.at(-1)?.event, { type: 'DELETE' });
  await api.refuse(409, /Invalid state PENDING_DELETE/, 'DELETE', `${PATH}/${id}?cascade=1`);
  await api.settle();
  for (const path of [`${PATH}/${id}`, `${PATH}/${id}/status`, `${PATH}/${id}/stats`]) {
    await api.refuse(404, /not found/, 'GET', path);
  }
  await api.refuse(404, /not found/, 'DELETE', `${PATH}/${id}`);
});

test('what is no UUID names nothing', async () => {
  for (const id of ['x', '%00', '%ff', "'--", '0'])
    await api.refuse(404, /not found/, 'GET', `${PATH}/${id}`);
});

test('load balancers that are asked for at the same time share a statement, and each comes to who asked for it', async () => {
  const made = await Promise.all([1, 2, 3].map((n) => api.createLoadBalancer({ name: `shared ${n}` })));
  await api.expect(204, 'DELETE', `${PATH}/${made[2].id}`);
  await api.settle();
  const ids = [...made.map(({ id }) => id), made[0].id.toUpperCase(), randomUUID()];
  const before = api.statements();
  const answers = await Promise.all(ids.map((id) => api.send('GET', `${PATH}/${id}`)));
  // The first goes alone and at once.
  assert.is(api.statements() - before, 2);
  assert.equal(
    answers.map(({ status, body }) => body.loadbalancer?.name ?? status),
    ['shared 1', 'shared 2', 404, 'shared 1', 404],
  );
});

test('statistics have exactly five counters', async () => {
  const { id } = await api.createLoadBalancer();
  assert.equal((await api.send('GET', `${PATH}/${id}/stats`)).body, {
    stats: { bytes_in: 0, bytes_out: 0, active_connections: 0, total_connections: 0, request_errors: 0 },
  });
});

test.run();
