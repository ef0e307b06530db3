import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createNoopProvider } from '../../src/providers/noop/provider.ts';
import { providerContract, rejects } from './provider.ts';

providerContract('noop', async () => {
  const provider = createNoopProvider();
  const networkId = randomUUID();
  return {
    provider,
    networkId,
    subnetId: networkId,
    freeAddress: '198.18.0.2',
    portOptions: { securityGroupId: randomUUID(), qosPolicyId: randomUUID() },
    knowsWhatExists: false,
    async takeAllVfs() {
      provider.failures.set(['createServer:placement']);
      return async () => provider.failures.set([]);
    },
    close: () => provider.close(),
  };
});

const call = () => ({ signal: AbortSignal.timeout(1_000) });

test('noop: another process derives the same ports and servers', async () => {
  const [one, two] = [createNoopProvider(), createNoopProvider()];
  const spec = {
    name: 'octavia-lb-vrrp-1',
    networkId: randomUUID(),
    vnicType: 'normal' as const,
    adminStateUp: true,
  };
  assert.equal(await one.network.createPort(spec, call()), await two.network.createPort(spec, call()));
  const files = async () => ({});
  const server = {
    name: 'amphora-1',
    amphoraId: randomUUID(),
    loadBalancerId: randomUUID(),
    portIds: [],
    files,
  };
  const { id } = await one.compute.create(server, call());
  assert.is((await two.compute.status(id, call()))?.state, 'ACTIVE');
  assert.is((await two.compute.create(server, call())).id, id);
});

test('noop: every UUID is a network, a subnet and a port', async () => {
  const { network } = createNoopProvider();
  const id = randomUUID();
  assert.is((await network.getNetwork(id, call()))?.id, id);
  assert.is((await network.getSubnet(id, call()))?.id, id);
  const port = await network.getPort(id, call());
  assert.match(port?.fixedIps[0]?.ipAddress ?? '', /^198\.1[89]\.\d+\.\d+$/);
});

test('noop: fails as it is told, as often as it is told', async () => {
  const provider = createNoopProvider({ failures: ['attachPort:transient:2', 'plugVip:terminal'] });
  const attach = () => provider.compute.attachPort('server', 'port', call());
  await rejects(attach(), 'transient', 'noop_failure');
  await rejects(attach(), 'transient');
  await attach();
  const target = { amphoraId: randomUUID(), address: '', epoch: 1, ...call() };
  const body = { subnet_cidr: '198.18.0.0/15', gateway: null, mac_address: '02:00:00:00:00:01' };
  await rejects(provider.agent.plugVip(target, '198.18.0.9', body), 'terminal');
  provider.failures.set([]);
  await provider.agent.plugVip(target, '198.18.0.9', body);
  assert.throws(() => createNoopProvider({ failures: ['fly:transient'] }), /noop_fail: fly:transient/);
});

test('noop: its agent checks bodies and refuses a lower epoch, and shows what it was told', async () => {
  const { agent, amphora, compute } = createNoopProvider();
  const amphoraId = randomUUID();
  const target = (epoch: number) => ({ amphoraId, address: '', epoch, ...call() });
  const group = { revision: 7, vips: ['198.18.0.9'], rules: [], vrrp_peers: [], members: [] };
  await agent.setSecurityGroup(target(4), group);
  await rejects(agent.setSecurityGroup(target(3), { ...group, revision: 6 }), 'terminal', 'stale_epoch');
  await rejects(agent.setSecurityGroup(target(4), { ...group, vips: ['x'] }), 'terminal', 'agent_refused');
  assert.is(amphora(amphoraId)?.securityGroup?.revision, 7);
  assert.is(amphora(amphoraId)?.epoch, 4);
  await rejects(agent.reloadHaproxy(target(4), amphoraId), 'terminal', 'agent_refused');
  await agent.uploadHaproxy(target(5), amphoraId, 'global');
  await agent.reloadHaproxy(target(5), amphoraId);
  assert.ok(amphora(amphoraId)?.haproxy?.running);
  const spec = { name: 'a', amphoraId, loadBalancerId: randomUUID(), portIds: [], files: async () => ({}) };
  await compute.delete((await compute.create(spec, call())).id, call());
  assert.is(amphora(amphoraId), undefined);
});

test.run();
