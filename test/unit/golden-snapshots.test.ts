import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { interpret } from '../../src/actors/interpreter.ts';
import { readStored } from '../../src/actors/stored-snapshot.ts';
import type { ActorKind } from '../../src/machines/address.ts';
import { amphoraMachine } from '../../src/machines/amphora.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import type { LoadBalancerContext } from '../../src/machines/load-balancer-context.ts';
import { machineVersions } from '../../src/machines/registry.ts';
import { goldenVersions, keepGolden, readGolden, type Walk, walk } from '../support/golden-snapshots.ts';

// Snapshots of every version of every chart, as they were stored. When a chart can no longer read them, raise its
// version and add a migration to src/machines/snapshots.ts; `--update` then keeps the snapshots of the new version.

const error = { kind: 'terminal', code: 'refused', message: 'refused' };
const vip = { address: '198.51.100.7', subnetId: 's', networkId: 'n', portId: 'p' };
const poisoned = { type: 'POISONED', error };

const charts: Record<ActorKind, Walk> = {
  'load-balancer': {
    machine: loadBalancerMachine,
    input: { loadBalancerId: 'lb', topology: 'SINGLE', amphoraIds: ['a'] },
    messages(context) {
      const { round, amphorae } = context as { round: number; amphorae: { id: string; phase: string }[] };
      const existing = amphorae.filter(({ phase }) => phase !== 'released');
      const reports = existing.flatMap(({ id: amphoraId }) => [
        { type: 'AMPHORA_PLUGGED', amphoraId, round },
        { type: 'AMPHORA_CONFIGURED', amphoraId, round },
        { type: 'AMPHORA_SYNCED', amphoraId, round, revision: 2 },
        { type: 'AMPHORA_FAILED', amphoraId, round, step: 'configSync', error },
        { type: 'AMPHORA_RELEASED', amphoraId },
      ]);
      const change = { type: 'CHANGED', revision: 2, memberPorts: true, subject: 'child' };
      const oldId = existing[0]?.id ?? null;
      const replacements = [{ oldId, newId: oldId === 'a' ? 'b' : 'a', role: 'STANDALONE' }];
      const failovers = amphorae.length > 1 ? [] : [{ type: 'FAILOVER', replacements }];
      const commands = [change, { ...change, memberPorts: false }, ...failovers, { type: 'DELETE' }];
      return [...reports, ...commands, poisoned];
    },
    outputs: { allocateVip: { vip, additionalVips: [] }, findVip: { vip, additionalVips: [] } },
    error,
  },
  amphora: {
    machine: amphoraMachine,
    input: { amphoraId: 'a', loadBalancerId: 'lb', role: 'STANDALONE', round: 0 },
    messages: () => [
      { type: 'SYNC', round: 1 },
      { type: 'PLUG_PORTS', round: 1 },
      { type: 'RELEASE' },
      { type: 'STALE' },
      { type: 'CONFIGURE' },
      { type: 'ALIVE' },
      { type: 'EXCLUDE', error },
      poisoned,
    ],
    outputs: {
      placeServer: { computeId: 'c', certExpiration: null, zone: null, imageId: null, computeFlavor: null },
      awaitAgent: { managementAddress: 'fd00::2' },
      plugPorts: { ports: [], vrrpIp: '198.51.100.8', vip },
      pushConfig: { revision: 1 },
      pushFirewall: { revision: 1 },
      tryFirewall: { revision: 1 },
    },
    error,
  },
};

/** Only a pair meets these states: its second amphora is away, and comes back. */
const pair: Walk = {
  ...charts['load-balancer'],
  input: { loadBalancerId: 'lb', topology: 'ACTIVE_STANDBY', amphoraIds: ['a', 'b'] },
  messages(context) {
    const { round, amphorae } = context as unknown as LoadBalancerContext;
    const [first, second] = amphorae;
    const [a, b] = [
      { amphoraId: 'a', round },
      { amphoraId: 'b', round },
    ];
    const away = { kind: 'transient', code: 'agent_unreachable', message: 'no answer' };
    // The first is always faster, so that the ways do not multiply.
    if (first?.phase === 'waiting')
      return [
        { type: 'AMPHORA_PLUGGED', ...a },
        { type: 'AMPHORA_CONFIGURED', ...a },
      ];
    if (first?.phase === 'configured') return [{ type: 'AMPHORA_SYNCED', ...a, revision: 2 }];
    return [
      { type: 'AMPHORA_PLUGGED', ...b },
      { type: 'AMPHORA_CONFIGURED', ...b },
      { type: 'AMPHORA_SYNCED', ...b, revision: 2 },
      { type: 'AMPHORA_FAILED', ...b, step: 'portPlug', error: away },
      ...(second?.standing === 'leaving' ? [{ type: 'AMPHORA_EXCLUDED', ...b }] : []),
      ...(second?.standing === 'excluded' ? [{ type: 'AMPHORA_ANSWERS', ...b }] : []),
      { type: 'CHANGED', revision: 2, memberPorts: true, subject: 'child' },
    ];
  },
};

for (const kind of ['load-balancer', 'amphora'] as const) {
  const chart = charts[kind];
  const walked = [...(kind === 'load-balancer' ? walk(pair) : []), ...walk(chart)];
  const current = [...new Map(walked.map((golden) => [golden.state, golden])).values()];
  if (process.argv.includes('--update')) {
    for (const golden of current) keepGolden(kind, machineVersions[kind], golden);
  }

  test(`${kind}: every state of the chart has a kept snapshot`, () => {
    const kept = readGolden(kind, machineVersions[kind]).map(({ state }) => state);
    assert.equal(kept.sort(), current.map(({ state }) => state).sort());
  });

  for (const machineVersion of goldenVersions(kind)) {
    test(`${kind}: snapshots of version ${machineVersion} go on where they were`, () => {
      const kept = readGolden(kind, machineVersion);
      assert.ok(kept.length > 5);
      for (const { state, event, ...stored } of kept) {
        const row = {
          kind,
          id: 'a',
          partition: 0,
          state,
          machineVersion,
          version: 1,
          done: false,
          quarantined: null,
        };
        const read = readStored(chart.machine, { ...row, ...stored });
        if (event === null) continue;
        const { handled } = interpret(chart.machine, read, event);
        assert.ok(handled, `${state} does not take ${event.type}`);
      }
    });
  }
}

test.run();
