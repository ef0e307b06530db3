// timeout: 400
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { privatePostgres } from '../../src/cli/up/supervisor.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { ActorKind } from '../../src/machines/address.ts';
import { Hold } from '../support/hold.ts';
import { ask, type Stand, startStand, webListener } from '../support/stand.ts';
import type { LoadBalancer } from '../support/system.ts';

// The controller is killed (SIGKILL) in each state of both charts, at the worst moment: what the state does is done, and
// nobody has written it down. The next one finds out by itself, and finishes.

let stand: Stand;
let hold: Hold;
let farSubnet: string;
test.before(async () => {
  stand = await startStand();
  hold = await Hold.open(privatePostgres(stand.system.config).url);
  const far = await stand.system.api<{ subnet_id: string }>('POST', '/v2.0/amphorae/networks', {
    network: { name: 'far', cidrs: [{ cidr: '203.0.113.0/24' }], vnic_types: ['normal', 'direct'] },
  });
  farSubnet = far.subnet_id;
});
test.after(async () => {
  await hold?.close();
  await stand?.stop();
});

type Target = [ActorKind, string];

const creation: Target[] = [
  ['load-balancer', 'creating.allocatingVip'],
  ['load-balancer', 'creating.awaitingAmphorae'],
  ['load-balancer', 'creating.configSync'],
  ['load-balancer', 'creating.firewallSync'],
  ['amphora', 'placing'],
  ['amphora', 'booting'],
  ['amphora', 'portPlug'],
  ['amphora', 'configSync'],
  ['amphora', 'firewallSync'],
];

for (const [kind, state] of creation) {
  test(`creation, killed in ${kind} ${state}: ACTIVE, and it carries traffic`, async () => {
    const id = await dieIn([kind, state], () => stand.post({ listeners: [webListener(stand)] }));
    const balancer = await stand.settled(id);
    assert.is(balancer.provisioning_status, 'ACTIVE');
    assert.ok(await ask(stand.client, `http://${balancer.vip_address}/`));
    await stand.remove(id);
    assert.equal(await stand.remains(), []);
  });
}

// A single amphora is told to go on in the commit that plugged it; the first of a pair waits for the other.
test('creation of a pair, killed in amphora plugged: ACTIVE, and it carries traffic', async () => {
  const flavor_id = await flavor('pair', { loadbalancer_topology: 'ACTIVE_STANDBY' });
  const id = await dieIn(['amphora', 'plugged'], () =>
    stand.post({ flavor_id, listeners: [webListener(stand)] }),
  );
  const balancer = await stand.settled(id);
  assert.is(balancer.provisioning_status, 'ACTIVE');
  await waitFor('the VIP to answer', 30, () => ask(stand.client, `http://${balancer.vip_address}/`));
  await stand.remove(id);
  assert.equal(await stand.remains(), []);
});

const change: Target[] = [
  ['load-balancer', 'ACTIVE'],
  ['load-balancer', 'updating.memberPorts'],
  ['load-balancer', 'updating.configSync'],
  ['load-balancer', 'updating.firewallSync'],
  ['amphora', 'ready'],
];

for (const [kind, state] of change) {
  test(`a change, killed in ${kind} ${state}: the change is in force`, async () => {
    const balancer = await stand.create({ listeners: [webListener(stand)] });
    const [pool] = balancer.pools as { id: string }[];
    const path = `/v2.0/lbaas/pools/${pool?.id}/members`;
    await dieIn([kind, state], () =>
      stand.system.api('POST', path, {
        member: {
          name: 'far',
          address: '203.0.113.99',
          protocol_port: 80,
          subnet_id: farSubnet,
          backup: true,
        },
      }),
    );
    assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
    const { members } = await stand.system.api<{ members: LoadBalancer[] }>('GET', path);
    assert.equal(
      members.map((member) => member.provisioning_status),
      ['ACTIVE', 'ACTIVE', 'ACTIVE'],
    );
    const ports = await stand.db
      .selectFrom('netns_ports')
      .select('name')
      .where('name', 'like', '%member%')
      .execute();
    assert.is(ports.length, 1);
    assert.ok(await ask(stand.client, `http://${balancer.vip_address}/`));
    await stand.remove(balancer.id);
    assert.equal(await stand.remains(), []);
  });
}

const removal: Target[] = [
  ['load-balancer', 'ACTIVE'],
  ['load-balancer', 'deleting.releasingAmphorae'],
  ['load-balancer', 'deleting.releasingVip'],
  ['amphora', 'ready'],
  ['amphora', 'releasing'],
];

for (const [kind, state] of removal) {
  test(`deletion, killed in ${kind} ${state}: gone, with everything`, async () => {
    const { id } = await stand.create({ listeners: [webListener(stand)] });
    await dieIn([kind, state], () =>
      stand.system.api('DELETE', `/v2.0/lbaas/loadbalancers/${id}?cascade=true`),
    );
    await goneFromTheList(id);
    assert.equal(await stand.remains(), []);
  });
}

const reversion: Target[] = [
  ['amphora', 'placing'],
  ['amphora', 'placementFailure'],
  ['amphora', 'releasing'],
  ['load-balancer', 'reverting.releasingAmphorae'],
  ['load-balancer', 'reverting.releasingVip'],
];

for (const [kind, state] of reversion) {
  test(`no valid host, killed in ${kind} ${state}: ERROR, and nothing is left`, async () => {
    const flavor_id = await flavor(`${kind}-${state}`, { compute_flavor: 'huge' });
    const id = await dieIn([kind, state], () => stand.post({ flavor_id }));
    assert.is((await stand.settled(id)).provisioning_status, 'ERROR');
    assert.equal(await stand.remains(), []);
    await dieIn(['load-balancer', 'ERROR'], () =>
      stand.system.api('DELETE', `/v2.0/lbaas/loadbalancers/${id}`),
    );
    await goneFromTheList(id);
  });
}

/** Do something, and kill the controller when an actor is about to leave the state. */
async function dieIn<T>([kind, state]: Target, work: () => Promise<T>): Promise<T> {
  await hold.set(kind, state);
  const result = await work();
  await hold.reached();
  stand.system.killController(1, 'SIGKILL');
  await hold.release();
  await waitFor('the API to be back', 30, () => stand.system.api<object>('GET', '/'));
  return result;
}

async function goneFromTheList(id: string): Promise<void> {
  await waitFor(`load balancer ${id} to be gone`, 60, async () => {
    const { loadbalancers } = await stand.system.api<{ loadbalancers: { id: string }[] }>(
      'GET',
      '/v2.0/lbaas/loadbalancers',
    );
    return loadbalancers.some((each) => each.id === id) ? undefined : true;
  });
}

async function flavor(name: string, data: object): Promise<string> {
  const { flavorprofile } = await stand.system.api<{ flavorprofile: { id: string } }>(
    'POST',
    '/v2.0/lbaas/flavorprofiles',
    { flavorprofile: { name, provider_name: 'amphora', flavor_data: JSON.stringify(data) } },
  );
  const created = await stand.system.api<{ flavor: { id: string } }>('POST', '/v2.0/lbaas/flavors', {
    flavor: { name, flavor_profile_id: flavorprofile.id },
  });
  return created.flavor.id;
}

test.run();
