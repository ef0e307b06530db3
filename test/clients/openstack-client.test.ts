// timeout: 300
import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startSystem } from '../support/system.ts';
import { startOpenStack } from './openstack.ts';

const system = await startSystem({ provider: 'noop' });
const openstack = startOpenStack({ OS_AUTH_TYPE: 'none', OS_ENDPOINT: system.url });
test.after(async () => {
  await openstack.stop();
  await system.stop();
});

/** `openstack loadbalancer ...`; words with a space inside are given separately. */
const run = (line: string, ...more: string[]) => openstack.run('loadbalancer', ...line.split(' '), ...more);
const show = (line: string, ...more: string[]) => run(line, ...more, '-f', 'json');
/** A command that makes or changes something, waited for. */
const active = async (line: string, ...more: string[]) => {
  const shown = await show(`${line} --wait`, ...more);
  assert.is(shown.provisioning_status, 'ACTIVE', line);
  return shown;
};

const refused = (status: number, line: string) =>
  run(line).then(assert.unreachable, (error: Error) => assert.match(error.message, `(HTTP ${status})`));

test('a load balancer is made, found by its name, changed and listed', async () => {
  await active(`create --name lb-1 --vip-subnet-id ${randomUUID()} --tag blue`);
  await active(`create --name lb-2 --vip-network-id ${randomUUID()} --provider octavia --disable`);
  const policy = randomUUID();
  await run(`set lb-1 --vip-qos-policy-id ${policy} --wait`);
  assert.is((await show('show lb-1')).vip_qos_policy_id, policy);
  await run('unset lb-1 --vip-qos-policy-id --wait');
  assert.is((await show('show lb-1')).vip_qos_policy_id, null);
  await run('set lb-1 --description', 'a text', '--tag', 'red', '--wait');
  const shown = await show('show lb-1');
  assert.is(shown.description, 'a text');
  assert.equal(shown.tags.split('\n').sort(), ['blue', 'red']);
  await run('unset lb-1 --description --tag blue --wait');
  assert.equal((await show('show lb-1')).tags, 'red');
  const names = (await show('list')).map(({ name }: { name: string }) => name);
  assert.equal(names, ['lb-1', 'lb-2']);
  assert.is((await show('list --tags red')).length, 1);
  assert.is((await show('list --disable')).length, 1);
  assert.is((await show('stats show lb-1')).bytes_in, 0);
  await run('delete lb-2 --wait');
});

test('listeners, pools, members and health monitors', async () => {
  await active('listener create --name listener-1 --protocol HTTP --protocol-port 80 lb-1');
  await run('listener set listener-1 --connection-limit 100 --insert-headers X-Forwarded-For=true --wait');
  assert.is((await show('listener show listener-1')).connection_limit, 100);
  await run('listener unset listener-1 --connection-limit --wait');
  assert.is((await show('listener show listener-1')).connection_limit, -1);
  assert.is((await show('listener list --loadbalancer lb-1')).length, 1);
  assert.is((await show('listener stats show listener-1')).total_connections, 0);

  await active('pool create --name pool-1 --protocol HTTP --lb-algorithm ROUND_ROBIN --listener listener-1');
  await active(
    'pool create --name pool-2 --protocol HTTP --lb-algorithm SOURCE_IP --loadbalancer lb-1 --session-persistence type=SOURCE_IP',
  );
  await run('pool set pool-1 --lb-algorithm LEAST_CONNECTIONS --wait');
  await run('pool unset pool-2 --session-persistence --wait');
  assert.is((await show('pool show pool-1')).lb_algorithm, 'LEAST_CONNECTIONS');
  assert.is((await show('pool list --loadbalancer lb-1')).length, 2);

  await active('member create --name member-1 --address 192.0.2.1 --protocol-port 80 --weight 3 pool-1');
  await run('member set --weight 5 pool-1 member-1 --wait');
  assert.is((await show('member show pool-1 member-1')).weight, 5);
  await run('member unset --weight pool-1 member-1 --wait');
  assert.is((await show('member show pool-1 member-1')).weight, 1);
  assert.is((await show('member list pool-1')).length, 1);

  const monitor = '--delay 5 --timeout 3 --max-retries 2 --type HTTP --url-path /health';
  await active(`healthmonitor create --name monitor-1 ${monitor} pool-1`);
  await run('healthmonitor set monitor-1 --expected-codes 200,204 --wait');
  assert.is((await show('healthmonitor show monitor-1')).expected_codes, '200,204');
  await run('healthmonitor unset monitor-1 --expected-codes --wait');
  assert.is((await show('healthmonitor show monitor-1')).expected_codes, '200');
  assert.is((await show('healthmonitor list')).length, 1);

  const { loadbalancer } = JSON.parse(await run('status show lb-1'));
  assert.is(loadbalancer.listeners[0].pools[0].members[0].name, 'member-1');
});

test('policies and rules', async () => {
  await active('l7policy create --name policy-1 --action REDIRECT_TO_POOL --redirect-pool pool-2 listener-1');
  await run('l7policy set policy-1 --action REDIRECT_TO_URL --redirect-url http://www.example.com/ --wait');
  assert.is((await show('l7policy show policy-1')).redirect_url, 'http://www.example.com/');
  await run('l7policy unset policy-1 --redirect-http-code --wait');
  assert.is((await show('l7policy list')).length, 1);

  // This version's --wait confuses the ids of policy and rule.
  const { id } = await show('l7rule create --compare-type STARTS_WITH --type PATH --value /static policy-1');
  await system.waitFor((await show('show lb-1')).id, ['ACTIVE'], 10_000);
  await run(`l7rule set --invert policy-1 ${id} --wait`);
  assert.is((await show(`l7rule show policy-1 ${id}`)).invert, true);
  await run(`l7rule unset --invert policy-1 ${id} --wait`);
  assert.is((await show('l7rule list policy-1')).length, 1);
  await run(`l7rule delete policy-1 ${id} --wait`);
  await run('l7policy delete policy-1 --wait');
});

test('flavors and providers', async () => {
  await run('flavorprofile create --name profile-1 --provider amphora --flavor-data', '{"sriov_vip": true}');
  await run('flavorprofile set profile-1 --name profile-2');
  assert.is((await show('flavorprofile show profile-2')).provider_name, 'amphora');
  assert.is((await show('flavorprofile list')).length, 1);
  await run('flavor create --name flavor-1 --flavorprofile profile-2 --description', 'a text');
  await run('flavor set flavor-1 --disable');
  await run('flavor unset flavor-1 --description');
  assert.equal(
    [(await show('flavor show flavor-1')).enabled, (await show('flavor show flavor-1')).description],
    [false, ''],
  );
  assert.is((await show('flavor list')).length, 1);
  await run('flavor delete flavor-1');
  await run('flavorprofile delete profile-2');
  assert.is((await show('provider list')).length, 2);
  assert.ok((await show('provider capability list amphora')).length > 5);
});

test('availability zones', async () => {
  const data = JSON.stringify({ compute_zone: 'nova' });
  await run(
    'availabilityzoneprofile create --name zones-1 --provider amphora --availability-zone-data',
    data,
  );
  await run('availabilityzoneprofile set zones-1 --name zones-2');
  assert.is((await show('availabilityzoneprofile show zones-2')).provider_name, 'amphora');
  assert.is((await show('availabilityzoneprofile list')).length, 1);
  await run(
    'availabilityzone create --name zone-1 --availabilityzoneprofile zones-2 --description',
    'a text',
  );
  await run('availabilityzone set zone-1 --disable');
  await run('availabilityzone unset zone-1 --description');
  const zone = await show('availabilityzone show zone-1');
  assert.equal([zone.enabled, zone.description], [false, '']);
  assert.is((await show('availabilityzone list')).length, 1);
  await run('availabilityzone delete zone-1');
  await run('availabilityzoneprofile delete zones-2');
});

test('quotas', async () => {
  assert.is((await show('quota defaults show')).pool, -1);
  assert.equal(await show('quota list'), []);
});

test('amphorae, and failover of one and of all', async () => {
  const { id } = await show('show lb-1');
  const [{ id: amphora }] = await show(`amphora list --loadbalancer ${id}`);
  assert.is((await show(`amphora show ${amphora}`)).status, 'ALLOCATED');
  // One of the noop provider has no statistics.
  await refused(404, `amphora stats show ${amphora}`);
  await run(`amphora configure ${amphora} --wait`);
  // It is not in ERROR.
  await refused(409, `amphora delete ${amphora}`);
  await run(`amphora failover ${amphora} --wait`);
  const [{ id: next }] = await show(`amphora list --loadbalancer ${id}`);
  assert.is.not(next, amphora);
  await run('failover lb-1 --wait');
});

test('everything is deleted, one by one and with all that hangs below', async () => {
  await run('healthmonitor delete monitor-1 --wait');
  await run('member delete pool-1 member-1 --wait');
  await run('pool delete pool-1 --wait');
  await run('listener delete listener-1 --wait');
  await run('delete lb-1 --cascade --wait');
  assert.equal(await show('list'), []);
});

test('a refusal comes with its reason', async () => {
  const wrong = openstack.run('loadbalancer', 'member', 'list', 'nowhere');
  await wrong.then(assert.unreachable, (error: Error) =>
    assert.match(error.message, /Unable to locate nowhere/),
  );
  const refused = run(`create --vip-subnet-id ${randomUUID()} --vip-address not-an-address`);
  await refused.then(assert.unreachable, (error: Error) =>
    assert.match(error.message, /Invalid input for field\/attribute vip_address.*\(HTTP 400\)/s),
  );
});

test('no command of the client was left out but those that look up a project', async () => {
  const projects = ['reset', 'set', 'show', 'unset'].map((verb) => `loadbalancer quota ${verb}`);
  assert.equal(await openstack.missed(), projects);
});

test.run();
