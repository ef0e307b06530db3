import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ensureBasePort } from '../../src/effects/vip-plug.ts';
import type { IngressRule } from '../../src/model/ingress-rule.ts';
import { createNoopProvider } from '../../src/providers/noop/provider.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { amphora, loadBalancer } from '../support/graph.ts';

const OWN = 'own-group';
const call = () => ({ signal: AbortSignal.timeout(1_000) });

/** A provider that has security groups, with a VIP port in it. */
async function startCloud() {
  const provider = createNoopProvider();
  const rules: IngressRule[][] = [];
  const cloud: Provider = {
    ...provider,
    securityGroups: {
      ensure: async (_, wanted) => {
        rules.push(wanted);
        return OWN;
      },
      delete: async () => {},
      list: async () => [],
    },
  };
  const vipPort = await provider.network.createPort(
    { name: 'vip', networkId: 'net', vnicType: 'normal', adminStateUp: false },
    call(),
  );
  const graph = (parts: Parameters<typeof loadBalancer>[0] = {}) => {
    const vip = { ...loadBalancer().vip, networkId: 'net', portId: vipPort.id };
    return loadBalancer({ vip, ...parts });
  };
  const groupsOf = async (id: string) => (await provider.network.getPort(id, call()))?.securityGroupIds;
  return { cloud, provider, graph, rules, vipPort, groupsOf };
}

test('base port and VIP port have the group of the load balancer, then those of its user', async () => {
  const { cloud, graph, rules, vipPort, groupsOf } = await startCloud();
  const base = await ensureBasePort(cloud, graph(), amphora(), call());
  assert.equal([await groupsOf(base.id), await groupsOf(vipPort.id)], [[OWN], [OWN]]);
  assert.is(rules[0]?.length, 1);

  await ensureBasePort(cloud, graph({ vipSecurityGroupIds: ['a', 'b'] }), amphora(), call());
  assert.equal(await groupsOf(base.id), [OWN, 'a', 'b']);
  assert.equal(await groupsOf(vipPort.id), [OWN, 'a', 'b']);
  assert.equal(rules[1], [], 'the user’s groups alone decide who reaches the listeners');

  await ensureBasePort(cloud, graph(), amphora(), call());
  assert.equal([await groupsOf(base.id), await groupsOf(vipPort.id)], [[OWN], [OWN]]);
  assert.is(rules[2]?.length, 1);
});

test('in a pair the user’s groups leave what the amphorae tell each other', async () => {
  const { cloud, graph, rules } = await startCloud();
  const pair = graph({ topology: 'ACTIVE_STANDBY', vipSecurityGroupIds: ['a'] });
  await ensureBasePort(cloud, pair, amphora(), call());
  assert.equal(
    rules[0]?.map(({ protocol, port }) => `${protocol} ${port}`),
    ['tcp 1025', '112 undefined'],
  );
});

test('the QoS policy is put on the base port, changed and taken off, also of a VF, and not on the VIP port', async () => {
  for (const vipVnicType of ['normal', 'direct'] as const) {
    const { cloud, provider, graph, vipPort, groupsOf } = await startCloud();
    const qosOf = async (id: string) => (await provider.network.getPort(id, call()))?.qosPolicyId;
    const ensure = (vipQosPolicyId: string | null) =>
      ensureBasePort(cloud, graph({ vipVnicType, vipQosPolicyId }), amphora(), call());
    const { id } = await ensure('gold');
    assert.is(await qosOf(id), 'gold');
    await ensure('lead');
    assert.is(await qosOf(id), 'lead');
    await ensure(null);
    assert.is(await qosOf(id), null);
    assert.is(await qosOf(vipPort.id), null);
    if (vipVnicType === 'direct') assert.equal([await groupsOf(id), await groupsOf(vipPort.id)], [[], []]);
  }
});

test('a port that the user brought keeps its groups', async () => {
  const { cloud, graph, vipPort, groupsOf } = await startCloud();
  const base = await ensureBasePort(cloud, graph({ vipPortOwned: false }), amphora(), call());
  assert.equal([await groupsOf(base.id), await groupsOf(vipPort.id)], [[OWN], []]);
});

test('what is as it should be is not changed again', async () => {
  const { cloud, provider, graph } = await startCloud();
  const plugged = amphora({
    ports: [
      {
        portId: 'p',
        role: 'vip',
        networkId: 'net',
        vnicType: 'normal',
        macAddress: '',
        fixedIps: [],
        mtu: 1500,
      },
    ],
  });
  const options = graph({ vipSecurityGroupIds: ['a'], vipQosPolicyId: 'gold' });
  await ensureBasePort(cloud, options, amphora(), call());
  provider.failures.set(['updatePort:terminal']);
  await ensureBasePort(cloud, options, plugged, call());
});

test.run();
