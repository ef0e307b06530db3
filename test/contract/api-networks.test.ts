import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementError, TerminalError, TransientError } from '../../src/model/errors.ts';
import type { NetworkAdmin, NetworkDescription, NetworkRequest } from '../../src/providers/netns/networks.ts';
import { startHarness } from './api-harness.ts';

const known = new Map<string, NetworkDescription>();
const asked: NetworkRequest[] = [];
let failure: Error | undefined;

const networks: NetworkAdmin = {
  async createNetwork(request) {
    if (failure) throw failure;
    asked.push(request);
    const subnets = request.cidrs.map(({ cidr }) => ({ subnet_id: randomUUID(), cidr, gateway_ip: null }));
    const { name, vnicTypes: vnic_types } = request;
    const network = { network_id: randomUUID(), name, subnets, bridge: 'ampn0', vnic_types };
    known.set(network.network_id, network);
    return network;
  },
  listNetworks: async () => [...known.values()],
  async deleteNetwork(id) {
    if (failure) throw failure;
    known.delete(id);
  },
};
const api = await startHarness({ networks });
test.after(() => api.stop());
test.after.each(() => {
  failure = undefined;
});

const PATH = '/v2.0/amphorae/networks';
const network = { name: 'front', cidrs: [{ cidr: '10.0.0.7/24' }] };

test('a network comes with what attaches to it, and goes', async () => {
  const given = { ...network, vnic_types: ['normal', 'direct', 'normal'], vlan: '7', mtu: null };
  const { status, body } = await api.send('POST', PATH, { network: given });
  assert.is(status, 201);
  assert.equal(asked.at(-1), {
    name: 'front',
    cidrs: [{ cidr: '10.0.0.0/24' }],
    vnicTypes: ['normal', 'direct'],
    physicalFunction: undefined,
    vlan: 7,
    mtu: undefined,
  });
  assert.is(body.subnet_id, body.subnets[0].subnet_id);
  assert.equal((await api.send('GET', PATH)).body, { networks: [body] });
  const path = `${PATH}/${body.network_id}`;
  assert.equal((await api.send('GET', path)).body, body);
  assert.is((await api.send('DELETE', path)).status, 204);
  for (const method of ['GET', 'DELETE']) await api.refuse(404, /Network .* not found/, method, path);
});

test('a gateway is left to the provider, given, or none', async () => {
  const cidrs = [
    { cidr: '10.0.0.0/24' },
    { cidr: '10.1.0.0/24', gateway: '10.1.0.9' },
    { cidr: 'fd00::/64', gateway: null },
  ];
  await api.expect(201, 'POST', PATH, { network: { name: 'three', cidrs } });
  assert.equal(asked.at(-1)?.cidrs, cidrs);
  assert.equal(asked.at(-1)?.vnicTypes, ['normal']);
});

test('invalid networks are refused by name', async () => {
  const cases: [RegExp, object][] = [
    [/attribute name/, { name: '' }],
    [/attribute cidrs/, { cidrs: [] }],
    [/attribute cidrs\.0\.cidr/, { cidrs: [{ cidr: '10.0.0.0' }] }],
    [/attribute gateway.*not in 10\.0\.0\.0\/24/, { cidrs: [{ cidr: '10.0.0.0/24', gateway: '10.0.1.1' }] }],
    [/attribute vnic_types\.0/, { vnic_types: ['macvtap'] }],
    [/attribute physical_function/, { physical_function: '../eth0' }],
    [/attribute vlan/, { vlan: 4095 }],
    [/attribute mtu/, { mtu: 100 }],
  ];
  for (const [text, attributes] of cases) {
    await api.refuse(400, text, 'POST', PATH, { network: { ...network, ...attributes } });
  }
});

test('what the provider says is the answer', async () => {
  const cases: [number, Error][] = [
    [409, new TerminalError('name_in_use', 'taken')],
    [400, new TerminalError('invalid_network', 'taken')],
    [409, new PlacementError('no_vf_left', 'taken')],
    [503, new TransientError('link_failed', 'taken')],
  ];
  for (const [status, error] of cases) {
    failure = error;
    await api.refuse(status, /taken/, 'POST', PATH, { network });
  }
});

test.run();
