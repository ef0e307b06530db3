// timeout: 1500
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Config } from '../../src/config.ts';
import { Operator } from './cloud.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

// Load balancers on real Keystone, Neutron, Nova, Placement and Glance; seen from outside after each step.

let operator: Operator;
let settings: Partial<Config>;
let plane: ControlPlane;
let vip: { networkId: string; subnetId: string };
let members: { networkId: string; subnetId: string };
/** Flavors of load balancers: the VIP on a VF, and no host that fits. */
let sriov: string;
let nowhere: string;
/** A zone of Nova with one of the two hosts. */
let zone: string;

test.before(async () => {
  operator = new Operator();
  vip = await operator.network({ physicalNetwork: 'physnet2', cidr: '10.30.0.0/24' });
  members = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.31.0.0/24' });
  const management = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.32.0.0/24' });
  await operator.image(operator.name);
  zone = `zone-${operator.name}`;
  await operator.zone(zone, 'compute2');
  settings = {
    openstack_compute_flavor: await operator.computeFlavor(),
    openstack_image_tag: operator.name,
    openstack_management_networks: [management.networkId],
  };
  plane = await startControlPlane(settings);
  sriov = await plane.flavor({ sriov_vip: true, allow_member_sriov: true });
  const unsatisfied = await operator.computeFlavor({ 'aggregate_instance_extra_specs:lb': 'nowhere' });
  nowhere = await plane.flavor({ compute_flavor: unsatisfied });
});
test.after(async () => {
  await plane?.stop();
  await operator?.close();
});

/** A test after which the cloud has nothing of ours. */
function scenario(name: string, work: () => Promise<void>): void {
  test(name, async () => {
    await work();
    assert.equal(await operator.remains(), []);
  });
}

const listener = (attributes: object = {}) => ({
  protocol: 'HTTP',
  protocol_port: 80,
  allowed_cidrs: ['192.0.2.0/24'],
  ...attributes,
});

/** Calls that made a load balancer; looks at a booting server depend on how long it boots. */
const callsSince = (first: number) =>
  plane.calls
    .slice(first)
    .filter(({ method, path }) => !(method === 'GET' && /^\/servers\/[0-9a-f-]+$/.test(path)));
let ordinaryCalls = 0;

scenario(
  'ordinary ports: the security group lets in what the listener allows, and goes with the last port',
  async () => {
    await plane.housekept();
    const before = plane.calls.length;
    const balancer = await plane.create({ vip_subnet_id: vip.subnetId, listeners: [listener()] });
    assert.is(balancer.provisioning_status, 'ACTIVE', JSON.stringify(balancer.provisioning_error));
    const made = callsSince(before);
    ordinaryCalls = made.length;
    const ofGroup = made.filter(({ path }) => path.startsWith('/security-group'));
    assert.equal(
      ofGroup.map(({ method, path }) => `${method} ${path}`),
      ['GET /security-groups', 'POST /security-groups', 'POST /security-group-rules'],
    );
    const { base, vipPort, group } = await operator.partsOf(balancer.id);
    assert.is(vipPort['binding:vif_type'], 'unbound');
    assert.is(base['binding:vnic_type'], 'normal');
    assert.is(base['binding:vif_type'], 'ovs');
    assert.equal(
      base.allowed_address_pairs.map(({ ip_address }) => ip_address),
      [balancer.vip_address],
    );
    assert.equal([base.security_groups, vipPort.security_groups], [[group?.id], [group?.id]]);
    assert.equal(group?.ingress, ['IPv4 tcp 80 192.0.2.0/24']);

    const { listener: second } = await plane.api<{ listener: { id: string } }>(
      'POST',
      '/v2.0/lbaas/listeners',
      {
        listener: { protocol: 'TCP', protocol_port: 81, loadbalancer_id: balancer.id },
      },
    );
    await plane.settled(balancer.id);
    assert.equal((await operator.partsOf(balancer.id)).group?.ingress, [
      'IPv4 tcp 80 192.0.2.0/24',
      'IPv4 tcp 81 any',
    ]);
    await plane.api('DELETE', `/v2.0/lbaas/listeners/${second.id}`);
    await plane.settled(balancer.id);
    assert.equal((await operator.partsOf(balancer.id)).group?.ingress, ['IPv4 tcp 80 192.0.2.0/24']);
    await plane.remove(balancer.id);
  },
);

scenario(
  'security groups and a QoS policy of the user are put on the ports, changed and taken off',
  async () => {
    const [own, qos] = [await operator.securityGroup(), await operator.qosPolicy()];
    const balancer = await plane.create({
      vip_subnet_id: vip.subnetId,
      vip_sg_ids: [own],
      vip_qos_policy_id: qos,
      listeners: [listener({ allowed_cidrs: null })],
    });
    assert.is(balancer.provisioning_status, 'ACTIVE', JSON.stringify(balancer.provisioning_error));
    const { base, vipPort, group } = await operator.partsOf(balancer.id);
    const groups = (port: typeof base) => port.security_groups.toSorted();
    const both = [group?.id ?? '', own].sort();
    assert.equal([groups(base), groups(vipPort)], [both, both]);
    assert.equal([base.qos_policy_id, vipPort.qos_policy_id], [qos, null]);
    assert.equal(group?.ingress, []);

    await plane.api('PUT', `/v2.0/lbaas/loadbalancers/${balancer.id}`, {
      loadbalancer: { vip_sg_ids: null, vip_qos_policy_id: null },
    });
    await plane.settled(balancer.id);
    const cleared = await operator.partsOf(balancer.id);
    assert.equal([groups(cleared.base), groups(cleared.vipPort)], [[group?.id], [group?.id]]);
    assert.is(cleared.base.qos_policy_id, null);
    assert.equal(cleared.group?.ingress, ['IPv4 tcp 80 any']);
    for (const unknown of [{ vip_sg_ids: [balancer.id] }, { vip_qos_policy_id: balancer.id }])
      await plane.api('PUT', `/v2.0/lbaas/loadbalancers/${balancer.id}`, { loadbalancer: unknown }).then(
        () => assert.unreachable(),
        (error: Error) => assert.match(error.message, /400 .* not found/),
      );
    await plane.remove(balancer.id);
  },
);

scenario(
  'a VIP on a VF: the server boots with it, nothing is plugged later, and there is no security group',
  async () => {
    const before = plane.calls.length;
    const balancer = await plane.create({
      vip_subnet_id: vip.subnetId,
      flavor_id: sriov,
      listeners: [listener()],
    });
    assert.is(balancer.provisioning_status, 'ACTIVE', JSON.stringify(balancer.provisioning_error));
    assert.is(balancer.vip_vnic_type, 'direct');
    const { base, vipPort, group } = await operator.partsOf(balancer.id);
    assert.is(vipPort['binding:vnic_type'], 'normal');
    assert.is(vipPort['binding:vif_type'], 'unbound');
    assert.is(base['binding:vnic_type'], 'direct');
    assert.is(base['binding:vif_type'], 'hw_veb');
    assert.match(base['binding:profile'].pci_slot ?? '', /^0000:0[23]:00\.\d$/);
    assert.equal(base.security_groups, []);
    assert.is(group, undefined);
    const calls = callsSince(before).length;
    assert.ok(calls <= ordinaryCalls, `${calls} calls, ${ordinaryCalls} with ordinary ports`);
    const attached = plane.calls
      .slice(before)
      .filter(({ method, path }) => method === 'POST' && /os-interface/.test(path));
    assert.equal(attached, []);
    await plane.remove(balancer.id);
  },
);

scenario(
  'by a setting, the VF of a VIP is plugged after the boot; the server is in the zone that is asked for',
  async () => {
    const octavian = await startControlPlane({ ...settings, vip_port_at_boot: false });
    try {
      await octavian.zone(zone);
      const balancer = await octavian.create({
        vip_subnet_id: vip.subnetId,
        flavor_id: await octavian.flavor({ sriov_vip: true }),
        availability_zone: zone,
      });
      assert.is(balancer.provisioning_status, 'ACTIVE', JSON.stringify(balancer.provisioning_error));
      const plugged = octavian.calls.filter(
        ({ method, path }) => method === 'POST' && /os-interface/.test(path),
      );
      assert.is(plugged.length, 1);
      const { base, hosts } = await operator.partsOf(balancer.id);
      assert.equal([base['binding:vnic_type'], base['binding:vif_type']], ['direct', 'hw_veb']);
      assert.equal(hosts, ['compute2']);
      await octavian.remove(balancer.id);
    } finally {
      await octavian.stop();
    }
  },
);

scenario(
  'a member that asks for a VF gets one while there is one, and gives it back when it goes',
  async () => {
    const balancer = await plane.create({
      vip_subnet_id: vip.subnetId,
      flavor_id: sriov,
      listeners: [listener({ default_pool: { name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' } })],
    });
    const { pools } = await plane.api<{ pools: { id: string }[] }>('GET', '/v2.0/lbaas/pools');
    const path = `/v2.0/lbaas/pools/${pools[0]?.id}/members`;
    const { member } = await plane.api<{ member: { id: string } }>('POST', path, {
      member: { address: '10.31.0.9', protocol_port: 80, subnet_id: members.subnetId, request_sriov: true },
    });
    await plane.settled(balancer.id);
    const plugged = (await operator.partsOf(balancer.id)).memberPorts;
    assert.equal(
      plugged.map((port) => [port['binding:vnic_type'], port['binding:vif_type'], port.network_id]),
      [['direct', 'hw_veb', members.networkId]],
    );

    // Each host has one VF there.
    const full = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.34.0.0/24' });
    const { member: late } = await plane.api<{ member: { id: string } }>('POST', path, {
      member: { address: '10.34.0.9', protocol_port: 80, subnet_id: full.subnetId, request_sriov: true },
    });
    assert.is((await plane.settled(balancer.id)).provisioning_status, 'ACTIVE');
    const { member: shown } = await plane.api<{
      member: { provisioning_status: string; provisioning_error: { code: string; message: string } };
    }>('GET', `${path}/${late.id}`);
    assert.equal([shown.provisioning_status, shown.provisioning_error.code], ['ERROR', 'no_vf_left']);
    assert.match(shown.provisioning_error.message, /Failed to claim PCI device/);
    assert.is((await operator.partsOf(balancer.id)).memberPorts.length, 1);

    await plane.api('DELETE', `${path}/${member.id}`);
    await plane.settled(balancer.id);
    assert.equal((await operator.partsOf(balancer.id)).memberPorts, []);
    await plane.remove(balancer.id);
  },
);

scenario(
  'two amphorae run on different hosts, with VRRP between them let in, and VFs cost no more calls',
  async () => {
    const calls: number[] = [];
    for (const sriov_vip of [false, true]) {
      const pair = await plane.flavor({ loadbalancer_topology: 'ACTIVE_STANDBY', sriov_vip });
      const before = plane.calls.length;
      const balancer = await plane.create({ vip_subnet_id: vip.subnetId, flavor_id: pair });
      assert.is(balancer.provisioning_status, 'ACTIVE', JSON.stringify(balancer.provisioning_error));
      calls.push(callsSince(before).length);
      const { hosts, group } = await operator.partsOf(balancer.id);
      assert.is(hosts.length, 2);
      assert.is(new Set(hosts).size, 2);
      assert.equal(group?.ingress, sriov_vip ? undefined : ['IPv4 112  any', 'IPv4 tcp 1025 any']);
      await plane.remove(balancer.id);
    }
    const [ordinary = 0, direct = 0] = calls;
    assert.ok(direct <= ordinary, `${direct} calls, ${ordinary} with ordinary ports`);
  },
);

scenario(
  'no host satisfies the flavor: ERROR with the words of Nova, and everything is released',
  async () => {
    const balancer = await plane.create({ vip_subnet_id: vip.subnetId, flavor_id: nowhere });
    assertFailed(balancer, 'no_valid_host', /No valid host was found/);
    assert.equal(await operator.remains(), []);
    await plane.remove(balancer.id);
  },
);

for (const kind of ['servers', 'ports'] as const) {
  scenario(
    `no more ${kind} by quota: ERROR with the words of the service, and everything is released`,
    async () => {
      const restore = await operator.exhaustQuota(kind);
      try {
        const balancer = await plane.create({ vip_subnet_id: vip.subnetId, flavor_id: sriov });
        assertFailed(balancer, 'quota_exceeded', /quota/i);
        assert.equal(await operator.remains(), []);
        await plane.remove(balancer.id);
      } finally {
        await restore();
      }
    },
  );
}

scenario('all VFs are taken: ERROR for the one that came late, released; the others stay', async () => {
  const first: string[] = [];
  let failed: Awaited<ReturnType<ControlPlane['create']>> | undefined;
  // Two hosts with two VFs each in the VIP's network.
  for (let count = 0; count < 5; count += 1) {
    const balancer = await plane.create({ vip_subnet_id: vip.subnetId, flavor_id: sriov });
    if (balancer.provisioning_status === 'ACTIVE') first.push(balancer.id);
    else failed = balancer;
  }
  assert.is(first.length, 4);
  assert.ok(failed);
  assertFailed(failed, 'no_valid_host', /VF/);
  assert.equal(
    (await operator.remains()).filter((name) => name.includes(failed?.id ?? '')),
    [],
  );
  for (const id of [...first, failed.id]) await plane.remove(id);
});

scenario(
  'a member port that no agent can bind: the member is in ERROR, its port is gone, the rest serves on',
  async () => {
    const unbindable = await operator.network({ physicalNetwork: 'elsewhere', cidr: '10.33.0.0/24' });
    const balancer = await plane.create({
      vip_subnet_id: vip.subnetId,
      listeners: [listener({ default_pool: { name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' } })],
    });
    const { pools } = await plane.api<{ pools: { id: string }[] }>('GET', '/v2.0/lbaas/pools');
    const path = `/v2.0/lbaas/pools/${pools[0]?.id}/members`;
    await plane.api('POST', path, {
      member: { address: '10.33.0.9', protocol_port: 80, subnet_id: unbindable.subnetId },
    });
    assert.is((await plane.settled(balancer.id)).provisioning_status, 'ACTIVE');
    const { members: rows } = await plane.api<{
      members: { provisioning_status: string; provisioning_error: { code: string } }[];
    }>('GET', path);
    assert.equal(
      rows.map((row) => [row.provisioning_status, row.provisioning_error.code]),
      [['ERROR', 'port_binding_failed']],
    );
    assert.equal((await operator.partsOf(balancer.id)).memberPorts, []);
    await plane.remove(balancer.id);
  },
);

function assertFailed(
  balancer: Awaited<ReturnType<ControlPlane['create']>>,
  code: string,
  words: RegExp,
): void {
  assert.is(balancer.provisioning_status, 'ERROR');
  const error = balancer.provisioning_error as { code: string; message: string };
  assert.is(error.code, code, error.message);
  assert.match(error.message, words);
}

test.run();
