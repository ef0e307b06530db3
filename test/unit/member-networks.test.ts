import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memberNetworks } from '../../src/effects/member-networks.ts';
import type { MemberNode } from '../../src/model/graph.ts';
import type { VnicType } from '../../src/model/status.ts';
import { loadBalancer, member, pool } from '../support/graph.ts';

// The ports that members need; the API has refused what does not fit, as far as it could know.

const VIP_NETWORK = randomUUID();
/** Subnets by their network: `a1` and `a2` are in one. */
const networkOf: Record<string, string> = { a1: 'a', a2: 'a', b1: 'b', vip: VIP_NETWORK };

const network = {
  async getSubnet(id: string) {
    const networkId = networkOf[id];
    if (networkId === undefined) return undefined;
    const cidr = '192.0.2.0/24';
    return { id, networkId, cidr, ipVersion: 4 as const, gatewayIp: null, hostRoutes: [] };
  },
};

function networksOf(...members: (readonly [subnetId: string, vnicType: VnicType])[]) {
  const nodes: MemberNode[] = members.map(([subnetId, vnicType]) =>
    member({ id: randomUUID(), subnetId, vnicType }),
  );
  const { vip } = loadBalancer();
  const graph = loadBalancer({
    vip: { ...vip, networkId: VIP_NETWORK },
    vipVnicType: 'direct',
    pools: [pool({ members: nodes })],
  });
  return memberNetworks(network, graph, { signal: AbortSignal.timeout(1_000) });
}

test('a network has one port, of one vNIC type, with an address in each subnet; that of the VIP has its own', async () => {
  const found = await networksOf(['a1', 'direct'], ['a2', 'direct'], ['b1', 'normal'], ['vip', 'direct']);
  assert.equal(
    found.map(({ networkId, vnicType, subnets }) => [networkId, vnicType, ...subnets.map(({ id }) => id)]),
    [
      ['a', 'direct', 'a1', 'a2'],
      ['b', 'normal', 'b1'],
    ],
  );
});

test('two vNIC types in one network, or another than that of the VIP in its own, are an error that says so', async () => {
  for (const members of [
    [
      ['a1', 'direct'],
      ['a2', 'normal'],
    ],
    [['vip', 'normal']],
  ] as const) {
    const error = await networksOf(...members).catch((reason) => reason);
    assert.equal([error.kind, error.code], ['terminal', 'vnic_type_conflict']);
    assert.match(error.message, /ask for a normal port, .* plugged with a direct one/);
  }
});

test.run();
