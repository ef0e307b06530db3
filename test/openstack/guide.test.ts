// timeout: 900
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { administrator, Operator } from './cloud.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

// The administrator's guide, command by command, with the real command line against real services. Those that need a NIC
// are not run; every command of `openstack` is, and the look into Nova's database.

/** `stand/` lives here; its command line is new enough to know SR-IOV. */
const ROOT = process.env.OSTACK_ROOT ?? '/opt/ostack';
const IMAGE = '/tmp/amphora.qcow2';
/** What the reader of the guide puts in the place of its words in capitals, and of its files. */
const substitutes: Record<string, string> = {
  'amphora.qcow2': IMAGE,
  'mysql nova': 'mariadb --no-defaults -S /var/lib/ostack/mysql/mysql.sock nova',
};
const run = promisify(execFile);

let operator: Operator;
let plane: ControlPlane;

/** A command line of the guide, as an administrator. */
async function shell(line: string): Promise<string> {
  const words = Object.entries(substitutes).reduce((text, [word, value]) => text.replace(word, value), line);
  const { stdout } = await run('chroot', [ROOT, 'bash', '-c', words], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', ...administrator },
    timeout: 300_000,
  });
  return stdout.trim();
}

test.before(async () => {
  operator = new Operator();
  const management = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.42.0.0/24' });
  plane = await startControlPlane({
    auth: 'keystone',
    openstack_compute_flavor: await operator.computeFlavor(),
    openstack_management_networks: [management.networkId],
  });
  writeFileSync(join(ROOT, IMAGE), emptyQcow2());
  await shell('openstack service create --name amphorae load-balancer');
  await shell(`openstack endpoint create --region RegionOne load-balancer public ${plane.url}`);
});
test.after(async () => {
  await shell('openstack loadbalancer delete --cascade --wait web').catch(() => {});
  await plane?.stop();
  for (const command of [
    'service delete load-balancer',
    'image delete amphora-sriov',
    'flavor delete amphora-sriov',
    'aggregate remove host lb-sriov compute1',
    'aggregate delete lb-sriov',
    'network delete lb-vips',
    'network delete members',
  ]) {
    await shell(`openstack ${command}`).catch(() => {});
  }
  await operator?.close();
  rmSync(join(ROOT, IMAGE), { force: true });
});

test('every command of the guide for the cloud does what the guide says', async () => {
  const guide = readFileSync(join(import.meta.dirname, '../../docs/sr-iov.md'), 'utf8');
  const commands = [...guide.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .flatMap(([, language, block = '']) => (language ? [] : block.split('\n')))
    .filter((line) => /^(openstack|mysql) /.test(line));
  assert.is(commands.length, guide.match(/^(openstack|mysql) /gm)?.length, 'all of them are in blocks');

  for (const command of commands) {
    if (command.includes('--address')) await prepareMembers();
    if (command.includes(' PORT')) {
      substitutes.PORT = await shell(
        'openstack port list --network lb-vips -f value -c ID -c Name | grep vrrp | cut -d" " -f1',
      );
    }
    const output = await shell(command);
    if (command.startsWith('mysql')) assert.match(output, /type-VF\tavailable\t\d/);
    if (command.startsWith('openstack image list')) assert.match(output, /amphora-sriov/);
    if (command.startsWith('openstack loadbalancer show'))
      assert.match(output, /vip_vnic_type\s*\|\s*direct/);
    if (command.startsWith('openstack port show')) assert.match(output, /hw_veb/);
    if (command.includes('member create')) assert.match(output, /vnic_type\s*\|\s*direct/);
  }
});

/** The smallest thing that Glance takes for a qcow2 image: the header of version 2, and an empty table. */
function emptyQcow2(): Buffer {
  const image = Buffer.alloc(4 * 65_536);
  image.write('QFI\xfb', 'latin1');
  image.writeUInt32BE(2, 4);
  image.writeUInt32BE(16, 20); // clusters of 64 KiB
  image.writeBigUInt64BE(1_048_576n, 24);
  image.writeUInt32BE(1, 36); // entries of the L1 table, and where it is
  image.writeBigUInt64BE(196_608n, 40);
  image.writeBigUInt64BE(65_536n, 48); // reference counts
  image.writeUInt32BE(1, 56);
  return image;
}

/** What the guide takes for granted before it adds a member. */
async function prepareMembers(): Promise<void> {
  await shell(
    'openstack network create --provider-network-type vlan --provider-physical-network physnet2 members',
  );
  await shell('openstack subnet create --network members --subnet-range 10.41.0.0/24 members-v4');
  substitutes.POOL = await shell(
    'openstack loadbalancer pool create --loadbalancer web --protocol HTTP --lb-algorithm ROUND_ROBIN --wait -f value -c id',
  );
}

test.run();
