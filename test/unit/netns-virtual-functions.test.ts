import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AmphoraeError, type ErrorKind } from '../../src/model/errors.ts';
import type { Ip } from '../../src/providers/netns/ip.ts';
import type { Port } from '../../src/providers/netns/ports.ts';
import { virtualFunctions } from '../../src/providers/netns/virtual-functions.ts';

const VFS = Array.from({ length: 11 }, (_, number) => `0000:01:10.${number}`);
const signal = new AbortController().signal;
const server = { id: 's', name: 'amphora-a', amphoraId: 'a', managementAddress: '', started: true };
const port: Port = {
  id: '00000000-0000-4000-8000-00000000000a',
  name: 'port',
  networkId: 'n',
  macAddress: '02:00:00:00:00:0a',
  vnicType: 'direct',
  deviceId: null,
  attachedTo: 's',
  vf: VFS[10] as string,
  fixedIps: [],
  mtu: 1500,
  bridge: 'b',
  physicalFunction: 'eth7',
  vlan: 120,
};

let sysfs: string;
/** `ip` commands and, between them, what was written to sysfs by then. */
let log: string[];

const ip: Ip = {
  async batch(commands) {
    log.push(...writes(), ...commands.map((command) => command.join(' ')));
  },
  query: async () => [],
};

test.before.each(() => {
  sysfs = mkdtempSync(join(tmpdir(), 'amphorae-sysfs-'));
  log = [];
  const device = join(sysfs, 'class/net/eth7/device');
  mkdirSync(device, { recursive: true });
  mkdirSync(join(sysfs, 'bus/pci'), { recursive: true });
  writeFileSync(join(device, 'sriov_drivers_autoprobe'), '0\n');
  writeFileSync(join(sysfs, 'bus/pci/drivers_probe'), '');
  VFS.forEach((address, number) => {
    mkdirSync(join(sysfs, `bus/pci/devices/${address}/driver`), { recursive: true });
    mkdirSync(join(sysfs, `bus/pci/devices/${address}/net/eth7v${number}`), { recursive: true });
    writeFileSync(join(sysfs, `bus/pci/devices/${address}/driver/unbind`), '');
    writeFileSync(macAddressFile(address, number), `${port.macAddress}\n`);
    symlinkSync(`../${address}`, join(device, `virtfn${number}`));
  });
});
test.after.each(() => rmSync(sysfs, { recursive: true, force: true }));

test('the place of a VF in the list is its number at the physical function', async () => {
  assert.equal(
    await virtualFunctions(ip, sysfs).functionsOf({ networkId: 'n', physicalFunction: 'eth7' }),
    VFS,
  );
  assert.equal(
    await virtualFunctions(ip, sysfs).functionsOf({ networkId: 'n', physicalFunction: 'eth8' }),
    [],
  );
});

test('MAC, VLAN and spoof check are set while no driver has the VF, and trust never', async () => {
  await virtualFunctions(ip, sysfs).plug(server, port, signal);
  log.push(...writes());
  assert.equal(log, [
    'unbind 0000:01:10.10',
    'link set eth7 up',
    'link set eth7 vf 10 mac 02:00:00:00:00:0a',
    'link set eth7 vf 10 vlan 120',
    'link set eth7 vf 10 spoofchk on',
    'probe 0000:01:10.10',
    'link set eth7v10 netns amp-a name p00000000000',
  ]);
  assert.is(read('class/net/eth7/device/sriov_drivers_autoprobe').trim(), '0', 'as it was');
});

test('a VF without a VLAN is freed of the one that it had before', async () => {
  await virtualFunctions(ip, sysfs).plug(server, { ...port, vlan: null }, signal);
  assert.ok(log.includes('link set eth7 vf 10 vlan 0'));
});

test('a VF that its driver took with another MAC address is not given to an amphora', async () => {
  writeFileSync(macAddressFile(VFS[10] as string, 10), '62:00:00:00:00:01\n');
  await rejects(virtualFunctions(ip, sysfs).plug(server, port, signal), 'transient');
  assert.not(log.some((entry) => entry.includes('netns')));
});

test('a VF that has gone is a placement error', async () => {
  await rejects(
    virtualFunctions(ip, sysfs).plug(server, { ...port, vf: '0000:01:11.0' }, signal),
    'placement',
  );
  assert.equal(log, []);
});

test('an unplugged VF loses its driver, and with it its interface; the host decides who gets it next', async () => {
  await virtualFunctions(ip, sysfs).unplug(undefined, port, signal);
  assert.equal(writes(), ['unbind 0000:01:10.10', 'probe 0000:01:10.10']);
  await virtualFunctions(ip, sysfs).unplug(undefined, { ...port, vf: null }, signal);
  await virtualFunctions(ip, sysfs).unplug(undefined, { ...port, vf: '0000:01:11.0' }, signal);
});

async function rejects(work: Promise<unknown>, kind: ErrorKind): Promise<void> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, AmphoraeError);
  assert.is((error as AmphoraeError).kind, kind);
}

function macAddressFile(address: string, number: number): string {
  return join(sysfs, `bus/pci/devices/${address}/net/eth7v${number}/address`);
}

/** What was written since the last look. */
function writes(): string[] {
  const files = { unbind: `bus/pci/devices/${VFS[10]}/driver/unbind`, probe: 'bus/pci/drivers_probe' };
  return Object.entries(files).flatMap(([name, path]) => {
    const content = read(path);
    writeFileSync(join(sysfs, path), '');
    return content ? [`${name} ${content}`] : [];
  });
}

function read(path: string): string {
  return readFileSync(join(sysfs, path), 'utf8');
}

test.run();
