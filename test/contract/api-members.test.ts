import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

/** A pool of a new load balancer: the path of its members, and the VIP's subnet. */
async function createPool(flavorId: string | null = null) {
  const vip = randomUUID();
  const loadBalancer = await api.createLoadBalancer({ vip_subnet_id: vip, flavor_id: flavorId });
  const pool = { loadbalancer_id: loadBalancer.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
  const { id } = await api.expect(201, 'POST', '/v2/lbaas/pools', { pool });
  await api.settle();
  return { id, vip, loadBalancerId: loadBalancer.id, path: `/v2/lbaas/pools/${id}/members` };
}

const plain = await createPool();
let lastPort = 1000;
const base = () => ({ address: '10.0.0.1', protocol_port: ++lastPort });

async function create(path: string, attributes: object = {}) {
  const member = await api.expect(201, 'POST', path, { member: { ...base(), ...attributes } });
  await api.settle();
  return member;
}

const list = async (path: string) => (await api.send('GET', path)).body.members;
const told = () => api.published.at(-1)?.event as { memberPorts?: boolean };

test('a member of a UDP pool in use needs a VIP of its family', async () => {
  const loadBalancer = await api.createLoadBalancer({
    pools: [{ name: 'p', protocol: 'UDP', lb_algorithm: 'ROUND_ROBIN' }],
    listeners: [{ protocol: 'UDP', protocol_port: 53, default_pool: { name: 'p' } }],
  });
  const path = `/v2/lbaas/pools/${loadBalancer.pools[0].id}/members`;
  const member = { address: '2001:db8::1', protocol_port: 53 };
  await api.refuse(501, /family of 2001:db8::1/, 'POST', path, { member });
  await api.refuse(501, /family of 2001:db8::1/, 'PUT', path, { members: [member] });
  await api.expect(201, 'POST', path, { member: { ...member, address: '192.0.2.1' } });
  await api.settle();
});

test('a created member has every attribute', async () => {
  const subnet_id = randomUUID();
  const member = { ...base(), subnet_id, monitor_port: '8080', request_sriov: false, tags: null };
  const { id, created_at, ...rest } = await api.expect(201, 'POST', plain.path, { member });
  assert.ok(created_at);
  assert.equal(rest, {
    name: '',
    project_id: 'default',
    tenant_id: 'default',
    admin_state_up: true,
    provisioning_status: 'PENDING_CREATE',
    operating_status: 'NO_MONITOR',
    provisioning_error: null,
    tags: [],
    updated_at: null,
    address: '10.0.0.1',
    protocol_port: member.protocol_port,
    weight: 1,
    backup: false,
    subnet_id,
    vnic_type: 'normal',
    monitor_address: null,
    monitor_port: 8080,
  });
  assert.is(told().memberPorts, true);
  const row = await api.db.selectFrom('members').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  assert.is(row.network_id, subnet_id, 'on a noop network the subnet has the id of its network');
  await api.settle();
  assert.is((await api.send('GET', `${plain.path}/${id}`)).body.member.provisioning_status, 'ACTIVE');
});

test('invalid members are refused by name', async () => {
  const { address, protocol_port } = await create(plain.path);
  const cases: [number, RegExp, object][] = [
    [400, /attribute address\..*Mandatory/, { address: undefined }],
    [400, /attribute address\..*IPv4 or IPv6/, { address: 'host' }],
    [400, /attribute address\./, { address: '10.0.0.0/8' }],
    [400, /attribute address\./, { address: 'fe80::1%eth0' }],
    [400, /attribute address\..*reserved/, { address: '169.254.169.254' }],
    [400, /attribute protocol_port/, { protocol_port: 0 }],
    [400, /attribute weight.*256/, { weight: 257 }],
    [400, /attribute weight/, { weight: -1 }],
    [400, /attribute backup/, { backup: 'maybe' }],
    [400, /attribute subnet_id/, { subnet_id: 'x' }],
    [400, /attribute monitor_port/, { monitor_port: 65536 }],
    [400, /attribute monitor_address/, { monitor_address: 'x' }],
    [400, /Unknown attribute for member: vnic_type/, { vnic_type: 'direct' }],
    [400, /attribute request_sriov.*flavor/, { request_sriov: true, subnet_id: randomUUID() }],
    [409, /already has a member/, { address, protocol_port }],
  ];
  for (const [status, text, attributes] of cases) {
    await api.refuse(status, text, 'POST', plain.path, { member: { ...base(), ...attributes } });
  }
  const nowhere = `/v2/lbaas/pools/${randomUUID()}/members`;
  await api.refuse(404, /Pool .* not found/, 'POST', nowhere, { member: base() });
  await api.refuse(404, /Pool .* not found/, 'GET', nowhere);
  await api.refuse(404, /Member .* not found/, 'GET', `${plain.path}/${randomUUID()}`);
});

test('a member is not found in another pool', async () => {
  const other = await createPool();
  const { id } = await create(other.path);
  for (const method of ['GET', 'DELETE']) await api.refuse(404, /Member/, method, `${plain.path}/${id}`);
  await api.refuse(404, /Member/, 'PUT', `${plain.path}/${id}`, { member: {} });
});

test('a subnet that does not exist is the caller’s mistake', async () => {
  const { getSubnet } = api.provider.network;
  const hidden = await startHarness({
    network: { ...api.provider.network, getSubnet: async () => undefined },
  });
  assert.ok(getSubnet);
  try {
    await hidden.refuse(400, /Subnet .* not found/, 'POST', '/v2/lbaas/loadbalancers', {
      loadbalancer: { vip_subnet_id: randomUUID() },
    });
  } finally {
    await hidden.stop();
  }
});

test('addresses are returned as they were given', async () => {
  assert.is((await create(plain.path, { address: 'FD00:0::1' })).address, 'FD00:0::1');
});

test('a write locks the pool and its listeners, which have to be ACTIVE', async () => {
  const pool = await createPool();
  const listener = {
    loadbalancer_id: pool.loadBalancerId,
    protocol: 'HTTP',
    protocol_port: 80,
    default_pool_id: pool.id,
  };
  const { id: listenerId } = await api.expect(201, 'POST', '/v2/lbaas/listeners', { listener });
  await api.settle();
  const { id } = await api.expect(201, 'POST', pool.path, { member: base() });
  const statuses = async () => [
    (await api.send('GET', `/v2/lbaas/pools/${pool.id}`)).body.pool.provisioning_status,
    (await api.send('GET', `/v2/lbaas/listeners/${listenerId}`)).body.listener.provisioning_status,
  ];
  assert.equal(await statuses(), ['PENDING_UPDATE', 'PENDING_UPDATE']);
  await api.refuse(409, /Load Balancer .* is immutable/, 'DELETE', `${pool.path}/${id}`);
  await api.settle();
  assert.equal(await statuses(), ['ACTIVE', 'ACTIVE']);

  await api.db.updateTable('pools').set({ provisioning_status: 'ERROR' }).where('id', '=', pool.id).execute();
  await api.refuse(409, /Pool .* is immutable/, 'PUT', `${pool.path}/${id}`, { member: {} });
  await api.refuse(409, /Pool .* is immutable/, 'PUT', pool.path, { members: [] });
});

test('an update touches what it names; null is the default again', async () => {
  const { id } = await create(plain.path, { weight: 5, monitor_port: 80, name: 'a' });
  const updated = await api.expect(200, 'PUT', `${plain.path}/${id}`, {
    member: { weight: null, backup: true },
  });
  assert.equal(
    [updated.weight, updated.backup, updated.monitor_port, updated.name, updated.provisioning_status],
    [1, true, 80, 'a', 'PENDING_UPDATE'],
  );
  assert.is(told().memberPorts, false);
  await api.settle();
  for (const immutable of ['address', 'protocol_port', 'subnet_id', 'request_sriov']) {
    await api.refuse(400, new RegExp(immutable), 'PUT', `${plain.path}/${id}`, {
      member: { [immutable]: null },
    });
  }
});

test('a batch updates, creates and deletes, and keeps the ids of what it updates', async () => {
  const { path } = await createPool();
  const kept = await create(path, { weight: 7, name: 'kept', tags: ['t'], monitor_port: 99 });
  const gone = await create(path, { subnet_id: randomUUID() });
  const fresh = base();
  const members = [{ address: kept.address, protocol_port: kept.protocol_port }, fresh];
  const answer = await api.send('PUT', path, { members });
  assert.equal([answer.status, answer.body], [202, '']);
  const byId = new Map((await list(path)).map((member: { id: string }) => [member.id, member]));
  const updated = byId.get(kept.id) as typeof kept;
  assert.equal(
    [updated.provisioning_status, updated.weight, updated.name, updated.tags, updated.monitor_port],
    ['PENDING_UPDATE', 1, 'kept', ['t'], null],
  );
  assert.is((byId.get(gone.id) as typeof gone).provisioning_status, 'PENDING_DELETE');
  assert.is(byId.size, 3);
  assert.is(told().memberPorts, true);
  await api.settle();

  const added = base();
  assert.is((await api.send('PUT', `${path}?additive_only=True`, { members: [added] })).status, 202);
  const statuses = (await list(path)).map((member: typeof kept) => member.provisioning_status);
  assert.equal(statuses.sort(), ['ACTIVE', 'ACTIVE', 'PENDING_CREATE']);
  await api.settle();

  assert.is((await api.send('PUT', path, { members: [] })).status, 202);
  await api.settle();
  assert.equal(await list(path), []);
  const before = api.published.length;
  assert.is((await api.send('PUT', path, { members: [] })).status, 202);
  assert.is(api.published.length, before, 'nothing to do');
  await create(path);
});

test('an invalid batch is refused as a whole', async () => {
  const { path } = await createPool();
  const subnet_id = randomUUID();
  const { address, protocol_port } = await create(path, { subnet_id });
  const known = { address, protocol_port };
  const fresh = base();
  const cases: [number, RegExp, unknown][] = [
    [400, /listed more than once/, [known, known]],
    [409, /listed more than once/, [fresh, fresh]],
    [400, /attribute members\.1\.address/, [fresh, { protocol_port: 1 }]],
    [400, /attribute subnet_id/, [{ ...known, subnet_id: randomUUID() }]],
    [400, /attribute request_sriov/, [{ ...known, request_sriov: true }]],
    [400, /Wrong type/, {}],
  ];
  for (const [status, text, members] of cases) await api.refuse(status, text, 'PUT', path, { members });
  assert.is(
    (await api.send('PUT', path, { members: [{ ...known, subnet_id, request_sriov: false }] })).status,
    202,
  );
  await api.settle();
});

test('all members in one network have one vNIC type, and the VIP decides in its own', async () => {
  const flavor = await api.createFlavor({ sriov_vip: true, allow_member_sriov: true });
  const { path, vip } = await createPool(flavor);
  const [a, b] = [randomUUID(), randomUUID()];
  const vf = { request_sriov: true };
  assert.is((await create(path, { subnet_id: a, ...vf })).vnic_type, 'direct');
  assert.is((await create(path, { subnet_id: a, ...vf })).vnic_type, 'direct');
  assert.is((await create(path, { subnet_id: b })).vnic_type, 'normal');
  assert.is((await create(path, { subnet_id: vip })).vnic_type, 'direct');
  const cases: [RegExp, object][] = [
    [/already plugged with a direct port/, { subnet_id: a }],
    [/already plugged with a normal port/, { subnet_id: b, ...vf }],
    [/already plugged with a direct port/, { subnet_id: vip, request_sriov: false }],
    [/needs subnet_id/, vf],
  ];
  for (const [text, attributes] of cases) {
    await api.refuse(400, text, 'POST', path, { member: { ...base(), ...attributes } });
  }
  const c = randomUUID();
  const mixed = [
    { ...base(), subnet_id: c, ...vf },
    { ...base(), subnet_id: c },
  ];
  await api.refuse(400, /already plugged/, 'PUT', `${path}?additive_only=true`, { members: mixed });

  const pools = [{ name: 'p', protocol: 'TCP', lb_algorithm: 'ROUND_ROBIN', members: mixed }];
  const loadbalancer = { vip_subnet_id: randomUUID(), flavor_id: flavor, pools };
  await api.refuse(400, /already plugged/, 'POST', '/v2/lbaas/loadbalancers', { loadbalancer });
});

test('a member that was kept out holds no network, and returns only where its type still fits', async () => {
  const { path } = await createPool(await api.createFlavor({ allow_member_sriov: true }));
  const subnet_id = randomUUID();
  const broken = await create(path, { subnet_id, request_sriov: true });
  await api.db
    .updateTable('members')
    .set({ provisioning_status: 'ERROR', withheld: true })
    .where('id', '=', broken.id)
    .execute();
  assert.is((await create(path, { subnet_id })).vnic_type, 'normal');
  await api.refuse(400, /already plugged/, 'PUT', `${path}/${broken.id}`, { member: {} });
  assert.is((await api.send('DELETE', `${path}/${broken.id}`)).status, 204);
});

test('a batch takes as many statements for hundreds of members as for a few', async () => {
  const {
    pools: [pool],
  } = await api.createLoadBalancer({
    pools: [{ name: 'p', protocol: 'TCP', lb_algorithm: 'ROUND_ROBIN' }],
  });
  const replace = async (from: number, to: number, weight: number) => {
    const members = Array.from({ length: to - from }, (_, index) => ({
      address: '192.0.2.1',
      protocol_port: from + index,
      weight,
    }));
    const before = api.statements();
    await api.expect(202, 'PUT', `/v2/lbaas/pools/${pool.id}/members`, { members });
    const cost = api.statements() - before;
    await api.settle();
    return cost;
  };
  await replace(1, 5, 1);
  const few = await replace(3, 7, 2);
  await replace(1, 400, 3);
  assert.is(await replace(200, 600, 4), few);
  const { members } = (await api.send('GET', `/v2/lbaas/pools/${pool.id}/members?weight=4`)).body;
  assert.is(members.length, 400);
});

test.run();
