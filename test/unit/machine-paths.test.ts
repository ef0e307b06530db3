import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AnyMachineSnapshot } from 'xstate';
import { amphoraMachine } from '../../src/machines/amphora.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import { type Exploration, eventTransitions, explore, hasDeadline, leafStates } from '../support/chart.ts';

const transient = { kind: 'transient', code: 'agent_unreachable', message: 'no answer' };
const terminal = { kind: 'terminal', code: 'agent_refused', message: 'refused' };
const poisoned = { type: 'POISONED', error: terminal };
const vip = { address: '198.51.100.7', subnetId: 's', networkId: 'n', portId: 'p' };

const settledAmphora = (state: string) => /^(ready|plugged|ERROR|DELETED|\w+Failure)$/.test(state);

const amphora = explore(amphoraMachine, {
  input: { amphoraId: 'a', loadBalancerId: 'lb', role: 'STANDALONE', round: 0 },
  commands: () =>
    [{ type: 'PLUG_PORTS', round: 1 }, { type: 'SYNC', round: 1 }, { type: 'RELEASE' }, poisoned] as never,
  outputs: {
    placeServer: { computeId: 'c', certExpiration: null, zone: null, imageId: null, computeFlavor: null },
    awaitAgent: { managementAddress: 'fd00::2' },
    plugPorts: { ports: [], vrrpIp: '198.51.100.8', vip },
    pushConfig: { revision: 1 },
    pushFirewall: { revision: 1 },
  },
  errors: [transient],
  distinguish: () => undefined,
  settled: settledAmphora,
});

const settledLoadBalancer = (state: string) => ['ACTIVE', 'ERROR', 'DELETED'].includes(state);

const loadBalancer = explore(loadBalancerMachine, {
  input: { loadBalancerId: 'lb', topology: 'SINGLE', amphoraIds: ['a'] },
  commands: (snapshot) => {
    const { round, desiredRevision } = snapshot.context as { round: number; desiredRevision: number };
    const reports = ['a'].flatMap((amphoraId) => [
      { type: 'AMPHORA_PLUGGED', amphoraId, round },
      { type: 'AMPHORA_CONFIGURED', amphoraId, round },
      { type: 'AMPHORA_SYNCED', amphoraId, round, revision: desiredRevision },
      { type: 'AMPHORA_FAILED', amphoraId, round, step: 'configSync', error: transient },
      { type: 'AMPHORA_FAILED', amphoraId, round, step: 'portPlug', error: terminal },
      { type: 'AMPHORA_RELEASED', amphoraId },
      { type: 'AMPHORA_RELEASE_FAILED', amphoraId, error: terminal },
    ]);
    const revision = Math.min(desiredRevision + 1, 3);
    const changes = [
      { type: 'CHANGED', revision, memberPorts: false, subject: 'child' },
      { type: 'CHANGED', revision, memberPorts: true, subject: 'child' },
      { type: 'CHANGED', revision, memberPorts: false, subject: 'loadBalancer' },
    ];
    return [...reports, ...changes, { type: 'DELETE' }, poisoned] as never;
  },
  outputs: { allocateVip: { vip, additionalVips: [] } },
  errors: [terminal],
  distinguish: ({ context }: AnyMachineSnapshot) => {
    const { amphorae, memberPorts, ownChange, restoring, error, desiredRevision } = context as {
      amphorae: { phase: string }[];
      memberPorts: boolean;
      ownChange: boolean;
      restoring: boolean;
      error: { kind: string } | null;
      desiredRevision: number;
    };
    const phases = amphorae.map(({ phase }) => phase);
    return [phases, memberPorts, ownChange, restoring, error?.kind, desiredRevision];
  },
  settled: settledLoadBalancer,
});

const charts = [
  { machine: amphoraMachine, walked: amphora, settled: settledAmphora },
  { machine: loadBalancerMachine, walked: loadBalancer, settled: settledLoadBalancer },
];

for (const { machine, walked, settled } of charts) {
  test(`${machine.id}: every state can be reached`, () => {
    assert.equal(missing(leafStates(machine), walked.reached, transientStates), []);
  });

  test(`${machine.id}: every transition on an event is taken`, () => {
    assert.equal(missing(eventTransitions(machine), walked.taken), []);
  });

  test(`${machine.id}: every state leads to a settled one`, () => {
    assert.equal(walked.stuck, []);
  });

  test(`${machine.id}: no transition changes the row of the load balancer twice`, () => {
    assert.equal(walked.clashes, []);
  });

  test(`${machine.id}: every state in which something is awaited has a deadline`, () => {
    const endless = [...walked.reached].filter((state) => !settled(state) && !hasDeadline(machine, state));
    assert.equal(endless, []);
  });
}

/** Left in the same step in which they are entered. */
const transientStates = ['updating.deciding', 'updating.rejecting'];

function missing(expected: string[], actual: Exploration['reached'], except: string[] = []): string[] {
  return expected.filter((each) => !actual.has(each) && !except.includes(each));
}

test.run();
