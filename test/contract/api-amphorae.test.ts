import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AmphoraStatus, ProvisioningStatus } from '../../src/model/status.ts';
import { startHarness } from './api-harness.ts';

// What administrators see and do; that a failover works: test/dataplane/failover.test.ts.

const api = await startHarness();
test.after(() => api.stop());

const PATH = '/v2/octavia/amphorae';
const LOAD_BALANCERS = '/v2/lbaas/loadbalancers';

async function createAmphora(status: AmphoraStatus, ofStatus: ProvisioningStatus = 'ACTIVE') {
  const loadBalancer = await api.createLoadBalancer();
  const amphora = {
    id: randomUUID(),
    load_balancer_id: loadBalancer.id,
    status,
    role: 'BACKUP',
    compute_id: randomUUID(),
    lb_network_ip: '192.0.2.7',
    vrrp_ip: '192.0.2.8',
    vrrp_port_id: randomUUID(),
    ha_ip: loadBalancer.vip_address,
    ha_port_id: loadBalancer.vip_port_id,
    vrrp_id: 1,
    vrrp_priority: 90,
    updated_at: 'now',
  } as const;
  await api.db.insertInto('amphorae').values(amphora).execute();
  await api.db
    .updateTable('load_balancers')
    .set({ provisioning_status: ofStatus })
    .where('id', '=', loadBalancer.id)
    .execute();
  return amphora;
}

test('an amphora has every attribute, in the list as alone, below both versions', async () => {
  const amphora = await createAmphora('ALLOCATED');
  const { load_balancer_id: loadbalancer_id, updated_at, ...own } = amphora;
  const shown = await api.show(`${PATH}/${amphora.id}`);
  for (const time of ['created_at', 'updated_at'])
    assert.match(shown[time], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  assert.equal(shown, {
    ...own,
    loadbalancer_id,
    cert_expiration: null,
    cert_busy: false,
    vrrp_interface: null,
    cached_zone: null,
    image_id: null,
    compute_flavor: null,
    created_at: shown.created_at,
    updated_at: shown.updated_at,
  });
  for (const query of [`loadbalancer_id=${loadbalancer_id}`, `compute_id=${amphora.compute_id}`]) {
    const { amphorae } = (await api.send('GET', `/v2.0/octavia/amphorae?${query}&role=BACKUP`)).body;
    assert.equal(amphorae, [shown]);
  }
  await api.refuse(404, /.*/, 'GET', `/v2/lbaas/amphorae/${amphora.id}`);
});

test('only an amphora in ERROR can be deleted', async () => {
  for (const status of ['PENDING_CREATE', 'BOOTING', 'ALLOCATED', 'PENDING_DELETE'] as const) {
    const { id } = await createAmphora(status);
    await api.refuse(409, new RegExp(`is in ${status}`), 'DELETE', `${PATH}/${id}`);
  }
  await api.refuse(404, /Amphora .* not found/, 'DELETE', `${PATH}/${randomUUID()}`);
});

test('what is left of it is removed by its load balancer, or by itself where that is in ERROR', async () => {
  const told = () => {
    const message = api.published.at(-1);
    return { kind: message?.kind, ...message?.event };
  };
  const working = await createAmphora('ERROR');
  await api.expect(204, 'DELETE', `${PATH}/${working.id}`);
  const replacements = [{ oldId: working.id, newId: null, role: 'BACKUP' }];
  assert.equal(told(), { kind: 'load-balancer', type: 'FAILOVER', replacements });
  const owner = await api.show(`${LOAD_BALANCERS}/${working.load_balancer_id}`);
  assert.is(owner.provisioning_status, 'PENDING_UPDATE');

  const broken = await createAmphora('ERROR', 'ERROR');
  await api.expect(204, 'DELETE', `${PATH}/${broken.id}`);
  assert.equal(told(), { kind: 'amphora', type: 'RELEASE' });
  assert.is((await api.show(`${PATH}/${broken.id}`)).status, 'PENDING_DELETE');
  await api.refuse(409, /PENDING_DELETE/, 'DELETE', `${PATH}/${broken.id}`);

  const busy = await createAmphora('ERROR', 'PENDING_UPDATE');
  await api.refuse(409, /Load Balancer .* is immutable/, 'DELETE', `${PATH}/${busy.id}`);
  assert.is((await api.show(`${PATH}/${busy.id}`)).status, 'ERROR', 'a refused request changes nothing');
});

test('an agent is told its settings anew by its actor; no status changes', async () => {
  const { id, load_balancer_id } = await createAmphora('ALLOCATED');
  const answer = await api.send('PUT', `${PATH}/${id}/config`);
  assert.equal([answer.status, answer.body], [202, '']);
  const { kind, actorId, event } = api.published.at(-1) ?? {};
  assert.equal({ kind, actorId, event }, { kind: 'amphora', actorId: id, event: { type: 'CONFIGURE' } });
  assert.is((await api.show(`${PATH}/${id}`)).status, 'ALLOCATED');
  assert.is((await api.show(`${LOAD_BALANCERS}/${load_balancer_id}`)).provisioning_status, 'ACTIVE');
  await api.refuse(404, /Amphora .* not found/, 'PUT', `${PATH}/${randomUUID()}/config`);
});

test.run();
