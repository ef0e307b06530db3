import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  basePortName,
  memberPortName,
  securityGroupName,
  serverGroupName,
  vipPortName,
} from '../../src/effects/names.ts';
import { removeOrphans } from '../../src/effects/orphans.ts';
import { AmphoraeError, type ErrorKind } from '../../src/model/errors.ts';
import type { Server, ServerSpec } from '../../src/providers/compute.ts';
import type { PortSpec } from '../../src/providers/network.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { amphoraFiles } from '../support/provider-files.ts';
import { createTestPki } from '../support/test-pki.ts';

/** A provider as the contract needs it. */
export interface ProviderSubject {
  provider: Provider;
  /** A network that has normal and direct ports, and one of its subnets. */
  networkId: string;
  subnetId: string;
  /** An address of that subnet that nobody has. */
  freeAddress: string;
  /** True when networks, subnets and ports exist only if somebody made them. */
  knowsWhatExists: boolean;
  /** A security group and a QoS policy, where the provider has such. */
  portOptions?: { securityGroupId: string; qosPolicyId: string };
  /** How long one call may take; a cloud needs longer than a host. */
  deadlineMs?: number;
  /** Make the next placement of a direct port fail until the returned function is called. */
  takeAllVfs(): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** What every provider promises to the effects; one table for all of them. */
export function providerContract(name: string, open: () => Promise<ProviderSubject>): void {
  let subject: ProviderSubject;
  const pki = createTestPki();
  const call = () => ({ signal: AbortSignal.timeout(subject.deadlineMs ?? 30_000) });
  const promise = (text: string, check: () => Promise<void>) => test(`${name}: ${text}`, check);

  test.before(async () => {
    subject = await open();
  });
  test.after(async () => {
    await subject.close();
  });

  const portSpec = (changes: Partial<PortSpec> = {}): PortSpec => ({
    name: `port-${randomUUID()}`,
    networkId: subject.networkId,
    fixedIps: [{ subnetId: subject.subnetId }],
    vnicType: 'normal',
    adminStateUp: true,
    ...changes,
  });
  const makePort = (changes?: Partial<PortSpec>) =>
    subject.provider.network.createPort(portSpec(changes), call());
  const serverSpec = (portIds: string[] = []): ServerSpec => {
    const amphoraId = randomUUID();
    return {
      name: `amphora-${amphoraId}`,
      amphoraId,
      loadBalancerId: randomUUID(),
      portIds,
      files: async () => amphoraFiles(await pki, amphoraId),
    };
  };

  /** A server that has come up. */
  const start = async (spec: ServerSpec): Promise<Server> => {
    const { compute } = subject.provider;
    let server: Server | undefined = await compute.create(spec, call());
    const { signal } = call();
    while (server.state === 'BUILD') {
      await pause(250, undefined, { signal });
      server = await compute.status(server.id, call());
      assert.ok(server);
    }
    assert.is(server.state, 'ACTIVE', server.fault?.message);
    return server;
  };

  promise('a port has an address, a MAC address and an MTU', async () => {
    const { network } = subject.provider;
    const port = await makePort({ adminStateUp: false });
    assert.is(port.fixedIps.length, 1);
    assert.is(port.fixedIps[0]?.subnetId, subject.subnetId);
    assert.match(port.macAddress, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
    assert.is(parseInt(port.macAddress, 16) & 3, 2, 'locally administered, unicast');
    assert.ok(port.mtu >= 1280);
    assert.is(port.deviceId, null);
    assert.equal(await network.getPort(port.id, call()), port);
  });

  promise('a network names its subnets, which name their network', async () => {
    const { network } = subject.provider;
    const found = await network.getNetwork(subject.networkId, call());
    assert.ok(found?.subnetIds.includes(subject.subnetId));
    assert.equal(found?.vnicTypes, ['normal', 'direct']);
    assert.is(found?.portSecurity, true);
    const subnet = await network.getSubnet(subject.subnetId, call());
    assert.is(subnet?.networkId, subject.networkId);
    assert.match(subnet?.cidr ?? '', /^[\d.]+\/\d+$/);
    assert.is(subnet?.ipVersion, 4);
    assert.equal(subnet?.hostRoutes, []);
  });

  promise('a port made twice by name is one port, also at the same time', async () => {
    const spec = portSpec();
    const { network } = subject.provider;
    const ports = await Promise.all(Array.from({ length: 5 }, () => network.createPort(spec, call())));
    ports.push(await network.createPort(spec, call()));
    assert.is(new Set(ports.map(({ id }) => id)).size, 1);
    assert.is((await network.listPorts({ namePrefix: spec.name }, call())).length, 1);
  });

  promise('ports made at the same time have different addresses', async () => {
    const ports = await Promise.all(Array.from({ length: 20 }, () => makePort()));
    assert.is(new Set(ports.map(({ fixedIps }) => fixedIps[0]?.ipAddress)).size, 20);
    assert.is(new Set(ports.map(({ macAddress }) => macAddress)).size, 20);
  });

  promise('a network says how many addresses are left', async () => {
    const { network } = subject.provider;
    const left = async () =>
      (await network.freeAddresses?.(subject.networkId, call()))?.get(subject.subnetId);
    const before = await left();
    if (!subject.knowsWhatExists) return assert.is(before, undefined);
    const { id } = await makePort();
    assert.is(await left(), (before ?? 0) - 1);
    await network.deletePort(id, call());
    assert.is(await left(), before);
  });

  promise('a requested address is given once, and again when it is free', async () => {
    const { network } = subject.provider;
    const fixedIps = [{ subnetId: subject.subnetId, ipAddress: subject.freeAddress }];
    const port = await makePort({ fixedIps });
    assert.is(port.fixedIps[0]?.ipAddress, subject.freeAddress);
    const refused = portSpec({ fixedIps });
    await rejects(network.createPort(refused, call()), 'terminal', 'address_in_use');
    assert.equal(await network.listPorts({ namePrefix: refused.name }, call()), []);
    await network.deletePort(port.id, call());
    await network.deletePort((await makePort({ fixedIps })).id, call());
  });

  promise('a deleted port is gone; deleting it again, or what never was, succeeds', async () => {
    const { network } = subject.provider;
    const port = await makePort();
    await network.deletePort(port.id, call());
    await network.deletePort(port.id, call());
    await network.deletePort(randomUUID(), call());
    assert.is(await network.getPort(port.id, call()), undefined);
    assert.equal(await network.listPorts({ namePrefix: port.name }, call()), []);
  });

  promise('allowed addresses can be replaced', async () => {
    const port = await makePort({ allowedAddresses: ['192.0.2.1'] });
    const allowedAddresses = ['192.0.2.2', '2001:db8::1'];
    await subject.provider.network.updatePort(port.id, { allowedAddresses }, call());
  });

  promise('a port has the security groups and the QoS policy that it was given last', async () => {
    const { provider, portOptions } = subject;
    const { network } = provider;
    if (!portOptions) return assert.is(network.hasPortOption, undefined);
    const { securityGroupId, qosPolicyId } = portOptions;
    const has = (...option: ['Security Group' | 'QoS Policy', string]) =>
      network.hasPortOption?.(...option, call());
    assert.is(await has('Security Group', securityGroupId), true);
    assert.is(await has('QoS Policy', qosPolicyId), true);
    if (subject.knowsWhatExists) {
      assert.is(await has('Security Group', qosPolicyId), false);
      assert.is(await has('QoS Policy', securityGroupId), false);
    }
    const options = { securityGroupIds: [securityGroupId], qosPolicyId };
    const { id } = await makePort(options);
    const optionsNow = async () => {
      const port = await network.getPort(id, call());
      return [port?.securityGroupIds, port?.qosPolicyId];
    };
    assert.equal(await optionsNow(), [[securityGroupId], qosPolicyId]);
    await network.updatePort(id, { securityGroupIds: [] }, call());
    assert.equal(await optionsNow(), [[], qosPolicyId]);
    await network.updatePort(id, { qosPolicyId: null }, call());
    assert.equal(await optionsNow(), [[], null]);
    await network.updatePort(id, options, call());
    assert.equal(await optionsNow(), [[securityGroupId], qosPolicyId]);
  });

  promise('what is unknown reads as undefined', async () => {
    const { compute, network } = subject.provider;
    const unknown = randomUUID();
    assert.is(await compute.status(unknown, call()), undefined);
    assert.equal(await compute.list({ name: 'amphora-unknown' }, call()), []);
    if (!subject.knowsWhatExists) return;
    for (const id of [unknown, 'no uuid']) {
      assert.is(await network.getNetwork(id, call()), undefined);
      assert.is(await network.getSubnet(id, call()), undefined);
      assert.is(await network.getPort(id, call()), undefined);
    }
    await rejects(makePort({ networkId: unknown }), 'terminal', 'not_found');
    await rejects(makePort({ fixedIps: [{ subnetId: unknown }] }), 'terminal', 'not_found');
    await rejects(compute.attachPort(unknown, (await makePort()).id, call()), 'terminal', 'not_found');
  });

  promise('a server made twice by name is one server, whose files were asked for once', async () => {
    const { compute } = subject.provider;
    const spec = serverSpec();
    let asked = 0;
    const files = spec.files;
    spec.files = () => {
      asked += 1;
      return files();
    };
    const first = await start(spec);
    assert.is((await compute.create(spec, call())).id, first.id);
    assert.is(asked, 1);
    assert.equal(
      (await compute.list({ name: spec.name }, call())).map(({ id }) => id),
      [first.id],
    );
    const status = await compute.status(first.id, call());
    assert.is(status?.state, 'ACTIVE');
    assert.ok(status?.managementAddress);
    await compute.delete(first.id, call());
  });

  promise('a port is plugged once, however often it is asked for, and unplugged likewise', async () => {
    const { compute, network } = subject.provider;
    const server = await start(serverSpec());
    for (const vnicType of ['normal', 'direct'] as const) {
      const port = await makePort({ vnicType });
      await compute.attachPort(server.id, port.id, call());
      await compute.attachPort(server.id, port.id, call());
      assert.is((await network.getPort(port.id, call()))?.deviceId, server.id);
      assert.equal(
        (await network.listPorts({ deviceId: server.id }, call())).map(({ id }) => id),
        [port.id],
      );
      await compute.detachPort(server.id, port.id, call());
      await compute.detachPort(server.id, port.id, call());
      assert.is((await network.getPort(port.id, call()))?.deviceId, null);
      await compute.attachPort(server.id, port.id, call());
      await network.deletePort(port.id, call());
    }
    await compute.delete(server.id, call());
  });

  promise('a deleted server leaves nothing; its ports are free and stay', async () => {
    const { compute, network } = subject.provider;
    const [booted, plugged] = [await makePort({ vnicType: 'direct' }), await makePort()];
    const server = await start(serverSpec([booted.id]));
    assert.is((await network.getPort(booted.id, call()))?.deviceId, server.id);
    await compute.attachPort(server.id, booted.id, call());
    await compute.attachPort(server.id, plugged.id, call());
    await compute.delete(server.id, call());
    await compute.delete(server.id, call());
    assert.is(await compute.status(server.id, call()), undefined);
    assert.equal(await compute.list({ name: server.name }, call()), []);
    for (const port of [booted, plugged]) {
      assert.is((await network.getPort(port.id, call()))?.deviceId, null);
      await network.deletePort(port.id, call());
    }
  });

  promise('without a VF the placement fails and leaves nothing; with one it succeeds', async () => {
    const { compute, network } = subject.provider;
    const port = await makePort({ vnicType: 'direct' });
    const spec = serverSpec([port.id]);
    const release = await subject.takeAllVfs();
    await rejects(compute.create(spec, call()), 'placement');
    assert.equal(await compute.list({ name: spec.name }, call()), []);
    assert.is((await network.getPort(port.id, call()))?.deviceId, null);
    await release();
    const server = await start(spec);
    await compute.delete(server.id, call());
    await network.deletePort(port.id, call());
  });

  promise(
    'what ended amphorae and load balancers have left is found and removed, and nothing else',
    async () => {
      const { compute, network, securityGroups } = subject.provider;
      const [spec, other] = [serverSpec(), serverSpec()];
      const loadBalancerId = randomUUID();
      const antiAffinityGroup = serverGroupName(loadBalancerId);
      await compute.create({ ...spec, antiAffinityGroup }, call());
      await securityGroups?.ensure(securityGroupName(loadBalancerId), [], call());
      const keptGroup = securityGroupName(randomUUID());
      await securityGroups?.ensure(keptGroup, [], call());
      const kept = await compute.create(other, call());
      const { amphoraId } = spec;
      const base = await makePort({ name: basePortName(amphoraId) });
      const left = [base, await makePort({ name: memberPortName(amphoraId, subject.networkId) })];
      left.push(await makePort({ name: vipPortName(loadBalancerId) }));
      await compute.attachPort((await compute.create(spec, call())).id, base.id, call());
      const keptPort = await makePort({ name: basePortName(other.amphoraId) });
      const unrelated = await makePort();

      const ended = async (_: string, ids: string[]) =>
        new Set(ids.filter((id) => id === amphoraId || id === loadBalancerId));
      const parts = { compute, network, securityGroups, ended };
      const removed = await removeOrphans(parts, call());
      const groups = [
        ...(compute.listAntiAffinityGroups ? [antiAffinityGroup] : []),
        ...(securityGroups ? [securityGroupName(loadBalancerId)] : []),
      ];
      assert.equal(removed.sort(), [spec.name, ...left.map(({ name }) => name), ...groups].sort());
      assert.equal(await compute.list({ name: spec.name }, call()), []);
      for (const { id } of left) assert.is(await network.getPort(id, call()), undefined);
      assert.equal(await removeOrphans(parts, call()), []);
      if (securityGroups) assert.equal(await securityGroups.list(call()), [keptGroup]);
      await securityGroups?.delete(keptGroup, call());
      assert.is((await compute.status(kept.id, call()))?.state, 'ACTIVE');
      assert.ok(await network.getPort(unrelated.id, call()));
      await compute.delete(kept.id, call());
      await network.deletePort(keptPort.id, call());
    },
  );

  promise('nothing is left of these checks once their ports are deleted', async () => {
    const { compute, network } = subject.provider;
    for (const port of await network.listPorts({ namePrefix: 'port-' }, call())) {
      await network.deletePort(port.id, call());
    }
    assert.equal(await network.listPorts({}, call()), []);
    assert.equal(await compute.list({}, call()), []);
  });
}

/** Assert that it fails with a classified error. */
export async function rejects(
  work: Promise<unknown>,
  kind: ErrorKind,
  code?: string,
): Promise<AmphoraeError> {
  try {
    await work;
  } catch (error) {
    assert.instance(error, AmphoraeError, String(error));
    assert.is((error as AmphoraeError).kind, kind, String(error));
    if (code) assert.is((error as AmphoraeError).code, code, String(error));
    return error as AmphoraeError;
  }
  assert.unreachable(`expected a ${kind} error`);
  throw new Error('unreachable');
}
