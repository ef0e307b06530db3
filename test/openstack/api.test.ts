// timeout: 300
import { Agent } from 'undici';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RestClient } from '../../src/cli/rest-client.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { KeystoneSession, type Token } from '../../src/keystone/session.ts';
import { account, Operator } from './cloud.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

// What the API finds out in the cloud before it accepts a request: what the caller can see, and what profiles refer to.

const dispatcher = new Agent();
let operator: Operator;
let plane: ControlPlane;
let owner: Token;
let stranger: Token;
let administrator: Token;
/** Networks of the owner's project: for him alone, and for everybody. */
let own: { networkId: string; subnetId: string };
let shared: { networkId: string; subnetId: string };

test.before(async () => {
  operator = new Operator();
  const logIn = (user: string) => new KeystoneSession(account(user, user), dispatcher).token();
  [owner, stranger, administrator] = await Promise.all([logIn('demo'), logIn('demo2'), logIn('admin')]);
  const inProject = owner.projectId ? { projectId: owner.projectId } : {};
  const networks = { physicalNetwork: 'physnet1', ...inProject };
  own = await operator.network({ ...networks, cidr: '10.70.0.0/24', shared: false });
  shared = await operator.network({ ...networks, cidr: '10.71.0.0/24' });
  await operator.image(operator.name);
  plane = await startControlPlane({
    auth: 'keystone',
    openstack_compute_flavor: await operator.computeFlavor(),
    openstack_image_tag: operator.name,
    openstack_management_networks: [shared.networkId],
  });
});
test.after(async () => {
  await plane?.stop();
  await operator?.close();
  await dispatcher.close();
});

const as = ({ id }: Token) => new RestClient(plane.url, { 'x-auth-token': id });
const BALANCERS = '/v2.0/lbaas/loadbalancers';

/** The words of the refusal; empty when it was accepted. */
async function refusal(token: Token, path: string, body: object): Promise<string> {
  return as(token)
    .call('POST', path, body)
    .then(
      () => '',
      ({ message }: Error) => message,
    );
}

test('a network of another project does not exist for a user, unless it is shared', async () => {
  const member = { address: '10.70.0.9', protocol_port: 80, subnet_id: own.subnetId };
  const pools = [{ name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', members: [member] }];
  for (const loadbalancer of [
    { vip_subnet_id: own.subnetId },
    { vip_network_id: own.networkId },
    { vip_subnet_id: shared.subnetId, pools },
  ]) {
    assert.match(await refusal(stranger, BALANCERS, { loadbalancer }), /400 .* not found/);
  }
  for (const [token, subnetId] of [
    [owner, own.subnetId],
    [stranger, shared.subnetId],
  ] as const) {
    const { loadbalancer } = await as(token).call<{ loadbalancer: { id: string } }>('POST', BALANCERS, {
      loadbalancer: { vip_subnet_id: subnetId },
    });
    await settledAndRemoved(token, loadbalancer.id);
  }
  assert.equal(await operator.remains(), []);
});

test('a profile that refers to what the cloud does not have is refused, and names it', async () => {
  const flavor = (data: object) =>
    refusal(administrator, '/v2.0/lbaas/flavorprofiles', {
      flavorprofile: { name: 'p', provider_name: 'amphora', flavor_data: JSON.stringify(data) },
    });
  const zone = (data: object) =>
    refusal(administrator, '/v2.0/lbaas/availabilityzoneprofiles', {
      availability_zone_profile: {
        name: 'p',
        provider_name: 'amphora',
        availability_zone_data: JSON.stringify(data),
      },
    });
  assert.match(await flavor({ compute_flavor: 'no-such' }), /400 .*flavor_data.*no compute flavor.*no-such/);
  assert.match(
    await flavor({ amp_image_tag: 'no-such' }),
    /400 .*flavor_data.*no active image tagged no-such/,
  );
  assert.match(await zone({ compute_zone: 'no-such' }), /400 .*no availability zone no-such/);
  assert.match(await zone({ management_network: crypto.randomUUID() }), /400 .*no network of id/);
  assert.is(
    await flavor({ compute_flavor: await operator.computeFlavor(), amp_image_tag: operator.name }),
    '',
  );
  assert.is(await zone({ compute_zone: 'nova', management_network: shared.networkId }), '');
});

async function settledAndRemoved(token: Token, id: string): Promise<void> {
  const status = () =>
    as(token)
      .call<{ loadbalancer: { provisioning_status: string } }>('GET', `${BALANCERS}/${id}`)
      .then(({ loadbalancer }) => loadbalancer.provisioning_status);
  await waitFor('the load balancer to be made', 120, async () => (await status()) === 'ACTIVE' || undefined);
  await as(token).call('DELETE', `${BALANCERS}/${id}`);
  await waitFor('the load balancer to be gone', 120, async () =>
    status().then(
      () => undefined,
      () => true,
    ),
  );
}

test.run();
