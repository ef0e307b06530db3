// timeout: 1200
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { Operator } from './cloud.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

// Services that are restarted while a load balancer is made, and a hypervisor that does not answer.

const STAND = join(import.meta.dirname, 'stand');
const ROOT = process.env.OSTACK_ROOT ?? '/opt/ostack';
const run = promisify(execFile);

let operator: Operator;
let plane: ControlPlane;
let vip: { networkId: string; subnetId: string };
let members: { networkId: string; subnetId: string };
let sriov: string;

test.before(async () => {
  operator = new Operator();
  vip = await operator.network({ physicalNetwork: 'physnet2', cidr: '10.50.0.0/24' });
  members = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.51.0.0/24' });
  const management = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.52.0.0/24' });
  await operator.image(operator.name);
  plane = await startControlPlane({
    openstack_compute_flavor: await operator.computeFlavor(),
    openstack_image_tag: operator.name,
    openstack_management_networks: [management.networkId],
    orphan_period_seconds: 10,
    orphan_grace_seconds: 5,
  });
  sriov = await plane.flavor({ sriov_vip: true });
});
test.after(async () => {
  await plane?.stop();
  await operator?.close();
});

/** When in the creation a service goes: after the first call of this kind. */
const restarts: [service: string, moment: RegExp][] = [
  ['keystone', /POST \/ports/],
  ['neutron', /POST \/servers$/],
  ['nova', /POST \/servers$/],
  ['placement', /POST \/ports/],
  ['glance', /POST \/ports/],
  ['nova-conductor', /POST \/servers$/],
  ['nova-scheduler', /POST \/ports/],
];
for (const [service, moment] of restarts) {
  test(`${service} is restarted in mid-flow: the load balancer is settled all the same, and leaves nothing`, async () => {
    const before = plane.calls.length;
    const creating = plane.create({ vip_subnet_id: vip.subnetId, flavor_id: sriov });
    await plane.called((call) => moment.test(`${call.method} ${call.path}`), before);
    await run(join(STAND, 'restart'), [service]);
    const balancer = await creating;
    // What Nova had begun may have died with its service; then everything is released, and it says so.
    assert.ok(['ACTIVE', 'ERROR'].includes(balancer.provisioning_status));
    if (balancer.provisioning_status === 'ERROR') {
      const { code } = balancer.provisioning_error as { code: string };
      assert.ok(
        ['no_valid_host', 'server_failed', 'openstack_failed', 'openstack_unreachable'].includes(code),
        code,
      );
    }
    await plane.remove(balancer.id);
    await nothingRemains();
  });
}

test('a hypervisor that does not answer: the member is in ERROR with the reason, its port is gone, the rest serves on', async () => {
  const balancer = await plane.create({
    vip_subnet_id: vip.subnetId,
    listeners: [
      {
        protocol: 'HTTP',
        protocol_port: 80,
        default_pool: { name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
      },
    ],
  });
  assert.is(balancer.provisioning_status, 'ACTIVE', JSON.stringify(balancer.provisioning_error));
  const [host] = (await operator.partsOf(balancer.id)).hosts;
  const hypervisor = Number(readFileSync(`${ROOT}/run/ostack/nova-${host}.pid`, 'utf8'));
  const { pools } = await plane.api<{ pools: { id: string }[] }>('GET', '/v2.0/lbaas/pools');
  const path = `/v2.0/lbaas/pools/${pools[0]?.id}/members`;
  process.kill(-hypervisor, 'SIGSTOP');
  try {
    await plane.api('POST', path, {
      member: { address: '10.51.0.9', protocol_port: 80, subnet_id: members.subnetId },
    });
    assert.is((await plane.settled(balancer.id)).provisioning_status, 'ACTIVE');
  } finally {
    process.kill(-hypervisor, 'SIGCONT');
  }
  const { members: rows } = await plane.api<{
    members: { provisioning_status: string; provisioning_error: { code: string } }[];
  }>('GET', path);
  assert.equal(
    rows.map((row) => [row.provisioning_status, row.provisioning_error.code]),
    [['ERROR', 'compute_unresponsive']],
  );
  assert.equal((await operator.partsOf(balancer.id)).memberPorts, []);
  await plane.remove(balancer.id);
  await nothingRemains();
});

/**
 * Nova forgets a server that is deleted before a host was found for it, and brings it back when its conductor died at that
 * moment: then housekeeping finds it.
 */
async function nothingRemains(): Promise<void> {
  await waitFor('the cloud to have nothing of ours', 120, async () => {
    return (await operator.remains()).length === 0 || undefined;
  });
}

test.run();
