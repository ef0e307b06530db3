// timeout: 180
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AGENT_PORT, DATA_PLANE_NAMESPACE } from '../../src/amphora-api/headers.ts';
import type { ServerSpec } from '../../src/providers/compute.ts';
import { findGuestLink } from '../../src/providers/netns/guest-links.ts';
import { ip, linkExists } from '../../src/providers/netns/ip.ts';
import { namespaceName, namespacePath, uplinkNames } from '../../src/providers/netns/names.ts';
import { initOf } from '../../src/providers/netns/processes.ts';
import { findServer } from '../../src/providers/netns/servers.ts';
import { amphoraFiles } from '../support/provider-files.ts';
import { type NetnsTestBed, openNetnsTestBed, remainsOf } from '../support/provider-netns.ts';
import { createTestPki } from '../support/test-pki.ts';
import { providerContract, rejects } from './provider.ts';

const VFS = 2;

providerContract('netns', async () => {
  const bed = await openNetnsTestBed({ netns_stand_in_vfs: VFS });
  const { provider } = bed;
  const network = await makeNetwork(bed);
  return {
    provider,
    networkId: network.network_id,
    subnetId: network.subnets[0]?.subnet_id as string,
    freeAddress: '10.20.0.200',
    knowsWhatExists: true,
    async takeAllVfs() {
      const server = await provider.compute.create(serverSpec(), call());
      const ports = await Promise.all(
        Array.from({ length: VFS }, () => makePort(bed, network.network_id, 'direct')),
      );
      for (const port of ports) await provider.compute.attachPort(server.id, port.id, call());
      return async () => {
        await provider.compute.delete(server.id, call());
        for (const port of ports) await provider.network.deletePort(port.id, call());
      };
    },
    close: bed.close,
  };
});

const pki = createTestPki();
const call = () => ({ signal: AbortSignal.timeout(30_000) });
let bed: NetnsTestBed;
let networkId: string;

test.before(async () => {
  bed = await openNetnsTestBed({ netns_compute_flavors: ['small'] });
  networkId = (await makeNetwork(bed)).network_id;
});
test.after(() => bed.close());

test('netns: the agent answers on the management network, to its controller only', async () => {
  const spec = serverSpec();
  const server = await bed.provider.compute.create(spec, call());
  const identity = await (await pki).issue('amphorae-controller');
  const answer = await untilAnswer(server.managementAddress as string, spec.amphoraId, identity);
  assert.is(answer.api_version, '1.0');
  await rejectsConnection(server.managementAddress as string, spec.amphoraId);
  await bed.provider.compute.delete(server.id, call());
});

test('netns: the private key of an amphora is in no file of the host', async () => {
  const spec = serverSpec();
  const server = await bed.provider.compute.create(spec, call());
  const inside = `/proc/${initOf(namespaceName(spec.amphoraId))}/root/etc/octavia/certs/server.pem`;
  const [, key = ''] = /PRIVATE KEY-----\n(\S{40,})/.exec(readFileSync(inside, 'utf8')) ?? [];
  assert.ok(key);
  const onDisk = readdirSync(bed.config.data_dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .filter((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(key));
  assert.equal(onDisk, []);
  assert.not(existsSync('/etc/octavia/certs/server.pem'));
  await bed.provider.compute.delete(server.id, call());
});

test('netns: an amphora is in the namespaces of its own, and a removed one keeps nobody else alive', async () => {
  const [first, second] = [serverSpec(), serverSpec()];
  const one = await bed.provider.compute.create(first, call());
  const two = await bed.provider.compute.create(second, call());
  const mounts = readFileSync(`/proc/${initOf(namespaceName(second.amphoraId))}/mounts`, 'utf8');
  assert.not.match(mounts, namespacePath(namespaceName(first.amphoraId)));
  await bed.provider.compute.delete(one.id, call());
  assert.not(existsSync(namespacePath(namespaceName(first.amphoraId))));
  assert.is((await bed.provider.compute.status(two.id, call()))?.state, 'ACTIVE');
  await bed.provider.compute.delete(two.id, call());
});

test('netns: a port is found by its MAC address, with the MTU of its network; a stand-in says what it is', async () => {
  const { compute, network } = bed.provider;
  const spec = serverSpec();
  const server = await compute.create(spec, call());
  for (const vnicType of ['normal', 'direct'] as const) {
    const port = await makePort(bed, networkId, vnicType);
    await compute.attachPort(server.id, port.id, call());
    const found = await findLink(server.id, port.macAddress);
    const [link] = (await ip.query(['-details', 'link', 'show', 'dev', found?.name ?? ''], found?.place)) as [
      { mtu: number; ifalias?: string; linkinfo: { info_kind: string } },
    ];
    assert.is(link.mtu, 1400);
    assert.is(link.linkinfo.info_kind, vnicType === 'normal' ? 'veth' : 'macvlan');
    assert.is(link.ifalias, vnicType === 'normal' ? undefined : 'amphorae stand-in for a VF');
    await network.deletePort(port.id, call());
    assert.is(await findLink(server.id, port.macAddress), undefined);
  }
  await compute.delete(server.id, call());
});

test('netns: a port that the agent has moved is still known, and taken back from where it is', async () => {
  const { compute, network } = bed.provider;
  const spec = serverSpec();
  const server = await compute.create(spec, call());
  const identity = await (await pki).issue('amphorae-controller');
  await untilAnswer(server.managementAddress as string, spec.amphoraId, identity);
  const namespace = namespaceName(spec.amphoraId);
  const init = initOf(namespace) as number;
  for (const vnicType of ['normal', 'direct'] as const) {
    const port = await makePort(bed, networkId, vnicType);
    await compute.attachPort(server.id, port.id, call());
    const outer = await findLink(server.id, port.macAddress);
    // As the agent does it, from inside the amphora.
    await ip.batch(
      [['link', 'set', outer?.name ?? '', 'netns', `/proc/${init}/root/run/netns/${DATA_PLANE_NAMESPACE}`]],
      {
        namespace,
      },
    );
    assert.equal((await findLink(server.id, port.macAddress))?.place, {
      namespace: DATA_PLANE_NAMESPACE,
      mountOf: init,
    });
    await compute.attachPort(server.id, port.id, call());
    assert.is((await findLink(server.id, port.macAddress))?.place.mountOf, init);
    await compute.detachPort(server.id, port.id, call());
    assert.is(await findLink(server.id, port.macAddress), undefined);
    await network.deletePort(port.id, call());
  }
  await compute.delete(server.id, call());
});

test('netns: an amphora lives on without its controller, and the next controller knows it', async () => {
  const spec = serverSpec();
  const { id } = await bed.provider.compute.create(spec, call());
  const next = bed.another().compute;
  assert.is((await next.status(id, call()))?.state, 'ACTIVE');
  assert.is((await next.create(spec, call())).id, id);
  await next.delete(id, call());
});

test('netns: an amphora whose processes have ended is in ERROR, and can be deleted', async () => {
  const { compute } = bed.provider;
  const spec = serverSpec();
  const { id } = await compute.create(spec, call());
  process.kill(initOf(namespaceName(spec.amphoraId)) as number, 'SIGKILL');
  while ((await compute.status(id, call()))?.state === 'ACTIVE') await delay(5);
  const status = await compute.status(id, call());
  assert.is(status?.state, 'ERROR');
  assert.match(status?.fault?.message ?? '', /agent\.log/);
  await compute.delete(id, call());
  assert.equal(await compute.list({ name: spec.name }, call()), []);
});

test('netns: an amphora that cannot be started says why, and another try can succeed', async () => {
  const { compute } = bed.provider;
  const spec = serverSpec();
  const files = spec.files;
  spec.files = async () => ({ '/root/.ssh/authorized_keys': 'key' });
  await rejects(compute.create(spec, call()), 'terminal', 'invalid_file');
  assert.is((await compute.list({ name: spec.name }, call()))[0]?.state, 'BUILD');
  spec.files = files;
  const server = await compute.create(spec, call());
  assert.is(server.state, 'ACTIVE');
  await compute.delete(server.id, call());
});

test('netns: a creation that was killed at any moment is completed by the next one', async () => {
  const { compute, network } = bed.provider;
  for (const delayMs of [5, 15, 25, 40, 60, 90]) {
    const ports = [await makePort(bed, networkId, 'normal'), await makePort(bed, networkId, 'direct')];
    const spec = serverSpec(ports.map(({ id }) => id));
    await killedCreation(spec, delayMs);
    const server = await compute.create(spec, call());
    assert.is(server.state, 'ACTIVE', `killed after ${delayMs} ms`);
    for (const port of ports)
      assert.ok(await findLink(server.id, port.macAddress), `killed after ${delayMs} ms`);
    await compute.delete(server.id, call());
    for (const port of ports) await network.deletePort(port.id, call());
    assert.equal(remainsOf(bed, spec), [], `killed after ${delayMs} ms`);
  }
});

test('netns: a creation that was killed at any moment can be deleted instead', async () => {
  const { compute, network } = bed.provider;
  for (const delayMs of [10, 30, 50]) {
    const port = await makePort(bed, networkId, 'direct');
    const spec = serverSpec([port.id]);
    await killedCreation(spec, delayMs);
    for (const { id } of await compute.list({ name: spec.name }, call())) await compute.delete(id, call());
    await network.deletePort(port.id, call());
    assert.equal(remainsOf(bed, spec), [], `killed after ${delayMs} ms`);
  }
});

test('netns: a cancelled call is a transient error', async () => {
  const spec = serverSpec();
  await rejects(bed.provider.compute.create(spec, { signal: AbortSignal.abort() }), 'transient', 'cancelled');
  for (const { id } of await bed.provider.compute.list({ name: spec.name }, call())) {
    await bed.provider.compute.delete(id, call());
  }
});

test('netns: a flavor that this host lacks, or a full host, is no valid host', async () => {
  const { compute } = bed.provider;
  const unsatisfied = { ...serverSpec(), computeFlavor: 'huge' };
  const error = await rejects(compute.create(unsatisfied, call()), 'placement', 'no_valid_host');
  assert.match(error.message, /huge.*small/);
  const server = await compute.create({ ...serverSpec(), computeFlavor: 'small' }, call());
  const full = bed.another({ netns_capacity: 1 }).compute;
  await rejects(full.create(serverSpec(), call()), 'placement', 'no_valid_host');
  assert.is((await compute.list({}, call())).length, 1);
  await compute.delete(server.id, call());
});

test('netns: a network is what was asked for, and is refused when it makes no sense', async () => {
  const { networks, network } = bed.provider;
  const made = await networks.createNetwork({
    name: 'dual',
    cidrs: [
      { cidr: 'fd00:21::/64', gateway: null },
      { cidr: '10.21.0.9/24', gateway: '10.21.0.254' },
    ],
    vnicTypes: ['normal'],
  });
  assert.equal(
    made.subnets.map(({ cidr, gateway_ip }) => [cidr, gateway_ip]),
    [
      ['10.21.0.0/24', '10.21.0.254'],
      ['fd00:21::/64', null],
    ],
  );
  assert.ok(existsSync(`/sys/class/net/${made.bridge}/bridge`));
  assert.equal(await networks.listNetworks().then((all) => all.at(-1)), made);

  const refused = (changes: object, admin = networks) =>
    admin.createNetwork({
      name: 'other',
      cidrs: [{ cidr: '10.22.0.0/24' }],
      vnicTypes: ['normal'],
      ...changes,
    });
  await rejects(refused({ name: 'dual' }), 'terminal', 'name_in_use');
  await rejects(refused({ cidrs: [{ cidr: '10.22.0.0/33' }] }), 'terminal', 'invalid_network');
  await rejects(refused({ cidrs: [{ cidr: '10.22.0.0/31' }] }), 'terminal', 'invalid_network');
  await rejects(
    refused({ cidrs: [{ cidr: '10.22.0.0/24', gateway: '10.9.0.1' }] }),
    'terminal',
    'invalid_network',
  );
  await rejects(
    refused({ cidrs: [{ cidr: '10.22.0.0/16' }, { cidr: '10.22.3.0/24' }] }),
    'terminal',
    'invalid_network',
  );
  await rejects(refused({ vnicTypes: ['direct'], physicalFunction: 'lo' }), 'terminal', 'invalid_network');
  const withoutStandIns = bed.another({ netns_direct: 'vf' }).networks;
  await rejects(refused({ vnicTypes: ['direct'] }, withoutStandIns), 'terminal', 'invalid_network');
  assert.equal((await networks.listNetworks()).length, 2, 'what was refused left nothing');

  await rejects(makePort(bed, made.network_id, 'direct'), 'terminal', 'vnic_type_unsupported');
  const port = await makePort(bed, made.network_id, 'normal');
  await rejects(networks.deleteNetwork(made.network_id), 'terminal', 'network_in_use');
  await network.deletePort(port.id, call());
  await networks.deleteNetwork(made.network_id);
  await networks.deleteNetwork(made.network_id);
  assert.not(existsSync(`/sys/class/net/${made.bridge}`));
});

test('netns: the lowest free address is taken, of either family, until none is left', async () => {
  const { networks, network } = bed.provider;
  const { network_id, subnets } = await networks.createNetwork({
    name: 'tiny',
    cidrs: [{ cidr: '10.23.0.0/29', gateway: '10.23.0.3' }, { cidr: 'fd00:23::/126' }],
    vnicTypes: ['normal'],
  });
  const take = async (name: string, fixedIps: { subnetId?: string | undefined; ipAddress?: string }[]) => {
    const spec = { name, networkId: network_id, vnicType: 'normal' as const, adminStateUp: true, fixedIps };
    const port = await network.createPort(spec, call());
    return port.fixedIps.map(({ ipAddress }) => ipAddress);
  };
  assert.equal(await take('1', []), ['10.23.0.1']);
  assert.equal(await take('2', [{ ipAddress: '10.23.0.4' }]), ['10.23.0.4']);
  assert.equal(
    await take(
      '3',
      subnets.map(({ subnet_id }) => ({ subnetId: subnet_id })),
    ),
    ['10.23.0.2', 'fd00:23::2'],
  );
  await rejects(take('4', [{ ipAddress: '10.23.0.3' }]), 'terminal', 'address_in_use');
  await rejects(take('4', [{ ipAddress: 'FD00:23::0002' }]), 'terminal', 'address_in_use');
  await rejects(take('4', [{ ipAddress: '10.23.0.7' }]), 'terminal', 'invalid_address');
  await rejects(take('4', [{ ipAddress: '10.99.0.1' }]), 'terminal', 'invalid_address');
  await rejects(take('4', [{ ipAddress: 'fe80::1%lo' }]), 'terminal', 'invalid_address');
  assert.equal(await take('5', []), ['10.23.0.5']);
  assert.equal(await take('6', []), ['10.23.0.6']);
  await rejects(take('7', []), 'placement', 'no_address_left');
  for (const { id } of await network.listPorts({}, call())) await network.deletePort(id, call());
  await networks.deleteNetwork(network_id);
});

test('netns: bridges that a reboot took come back', async () => {
  const [network] = await bed.provider.networks.listNetworks();
  await ip.batch([['link', 'delete', network?.bridge ?? '']]);
  await bed.provider.restore();
  assert.ok(existsSync(`/sys/class/net/${network?.bridge}/bridge`));
});

test('netns: the host is not on the networks of load balancers', async () => {
  const [network] = await bed.provider.networks.listNetworks();
  const addresses = (await ip.query(['address', 'show', 'dev', network?.bridge ?? ''])) as {
    addr_info: unknown[];
  }[];
  assert.equal(addresses[0]?.addr_info, []);
  await bed.provider.restore();
  for (const family of ['iptables', 'ip6tables']) {
    const path = `/proc/sys/net/bridge/bridge-nf-call-${family}`;
    if (existsSync(path)) assert.is(readFileSync(path, 'utf8').trim(), '0');
  }
});

test('netns: destroyAll leaves no bridge, link, namespace, process or directory', async () => {
  const own = await openNetnsTestBed();
  try {
    const { network_id, bridge } = await makeNetwork(own);
    const ports = [await makePort(own, network_id, 'normal'), await makePort(own, network_id, 'direct')];
    const spec = serverSpec(ports.map(({ id }) => id));
    await own.provider.compute.create(spec, call());
    const init = initOf(namespaceName(spec.amphoraId)) as number;
    assert.is(remainsOf(own, spec).length, 4, 'namespace, directory, veth, management link');
    await own.provider.destroyAll();
    assert.equal(remainsOf(own, spec), []);
    assert.not(existsSync(`/proc/${init}`));
    const { bridgeSide, parent } = uplinkNames(network_id);
    assert.equal([bridge, own.config.netns_management_bridge, bridgeSide, parent].filter(linkExists), []);
    assert.equal(readdirSync(own.config.data_dir), []);
    assert.equal(await own.provider.networks.listNetworks(), []);
    await own.provider.destroyAll();
  } finally {
    await own.close();
  }
});

function serverSpec(portIds: string[] = []): ServerSpec {
  const amphoraId = randomUUID();
  return {
    name: `amphora-${amphoraId}`,
    amphoraId,
    loadBalancerId: randomUUID(),
    portIds,
    files: async () => amphoraFiles(await pki, amphoraId),
  };
}

function makeNetwork({ provider }: NetnsTestBed) {
  return provider.networks.createNetwork({
    name: 'vip',
    cidrs: [{ cidr: '10.20.0.0/24' }, { cidr: 'fd00:20::/64' }],
    vnicTypes: ['normal', 'direct'],
    mtu: 1400,
  });
}

function makePort({ provider }: NetnsTestBed, networkId: string, vnicType: 'normal' | 'direct') {
  const name = `port-${randomUUID()}`;
  return provider.network.createPort({ name, networkId, vnicType, adminStateUp: true }, call());
}

async function findLink(serverId: string, macAddress: string) {
  const server = await findServer(bed.db, serverId);
  return server && findGuestLink(ip, server, macAddress, call().signal);
}

/** Let another process create the server, and kill it `delayMs` after it began. */
async function killedCreation(spec: ServerSpec, delayMs: number): Promise<void> {
  const script = fileURLToPath(new URL('../support/provider-create.ts', import.meta.url));
  const child = fork(script);
  await once(child, 'message');
  child.send({ config: bed.config, spec, files: await spec.files() });
  await once(child, 'message');
  await delay(delayMs);
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function untilAnswer(host: string, amphoraId: string, identity: { cert: string; key: string }) {
  const { ca } = await pki;
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      return await request({ host, servername: amphoraId, ca, ...identity });
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(50);
    }
  }
}

async function rejectsConnection(host: string, amphoraId: string): Promise<void> {
  const stranger = await createTestPki();
  const identity = await stranger.issue('amphorae-controller');
  const answer = request({ host, servername: amphoraId, ca: (await pki).ca, ...identity });
  await answer.then(
    () => assert.unreachable('the agent obeys a stranger'),
    (error) => assert.match(String(error), /alert|reset|hang up|EPIPE/i),
  );
}

function request(options: { host: string; servername: string; ca: string; cert: string; key: string }) {
  return new Promise<{ api_version: string }>((resolve, reject) => {
    const signal = AbortSignal.timeout(2_000);
    get({ ...options, port: AGENT_PORT, path: '/', agent: false, signal }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      resolve(JSON.parse(Buffer.concat(chunks).toString()));
    }).on('error', reject);
  });
}

test.run();
