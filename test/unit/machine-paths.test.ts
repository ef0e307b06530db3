import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AnyMachineSnapshot } from 'xstate';
import { amphoraMachine } from '../../src/machines/amphora.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import type { LoadBalancerContext } from '../../src/machines/load-balancer-context.ts';
import {
  type Exploration,
  type ExplorationOptions,
  eventlessTransitions,
  eventTransitions,
  explore,
  hasDeadline,
  leafStates,
} from '../support/chart.ts';

const transient = { kind: 'transient', code: 'agent_unreachable', message: 'no answer' };
const terminal = { kind: 'terminal', code: 'agent_refused', message: 'refused' };
const poisoned = { type: 'POISONED', error: terminal };
const vip = { address: '198.51.100.7', subnetId: 's', networkId: 'n', portId: 'p' };

const settledAmphora = (state: string) =>
  /^(ready|stale|plugged|excluded\.answering|ERROR|DELETED|\w+Failure)$/.test(state);

const amphora = explore(amphoraMachine, {
  input: { amphoraId: 'a', loadBalancerId: 'lb', role: 'STANDALONE', round: 0 },
  commands: () =>
    [
      ...[{ type: 'PLUG_PORTS', round: 1 }, { type: 'SYNC', round: 1 }, { type: 'RELEASE' }, poisoned],
      ...[{ type: 'STALE' }, { type: 'ALIVE' }, { type: 'CONFIGURE' }, { type: 'EXCLUDE', error: transient }],
    ] as never,
  outputs: {
    placeServer: { computeId: 'c', certExpiration: null, zone: null, imageId: null, computeFlavor: null },
    awaitAgent: { managementAddress: 'fd00::2' },
    plugPorts: { ports: [], vrrpIp: '198.51.100.8', vip },
    pushConfig: { revision: 1 },
    pushFirewall: { revision: 1 },
    tryFirewall: { revision: 1 },
  },
  errors: [transient],
  distinguish: () => undefined,
  settled: settledAmphora,
});

const settledLoadBalancer = (state: string) => ['ACTIVE', 'ERROR', 'DELETED'].includes(state);

const loadBalancerWalk: Omit<ExplorationOptions, 'input'> = {
  commands: (snapshot) => {
    const { round, desiredRevision, pass, amphorae } = snapshot.context as LoadBalancerContext;
    const existing = amphorae.filter(({ phase }) => phase !== 'released').map(({ id }) => id);
    // An amphora that has reported a phase does not report an earlier one in the same round.
    const reports = amphorae.flatMap(({ id: amphoraId, phase }) => [
      ...(phase === 'waiting'
        ? [
            { type: 'AMPHORA_PLUGGED', amphoraId, round },
            { type: 'AMPHORA_CONFIGURED', amphoraId, round },
            { type: 'AMPHORA_FAILED', amphoraId, round, step: 'configSync', error: transient },
            { type: 'AMPHORA_FAILED', amphoraId, round, step: 'portPlug', error: terminal },
          ]
        : []),
      ...(phase === 'configured'
        ? [{ type: 'AMPHORA_SYNCED', amphoraId, round, revision: desiredRevision }]
        : []),
      { type: 'AMPHORA_RELEASED', amphoraId },
      { type: 'AMPHORA_RELEASE_FAILED', amphoraId, error: terminal },
      { type: 'AMPHORA_STALE', amphoraId },
      { type: 'AMPHORA_ALIVE', amphoraId },
      { type: 'AMPHORA_FAILOVER_STOPPED', amphoraId },
    ]);
    const revision = desiredRevision + 1;
    // One change that waits stands for any number.
    const changes =
      desiredRevision > pass.revision
        ? []
        : [
            { type: 'CHANGED', revision, memberPorts: false, subject: 'child' },
            { type: 'CHANGED', revision, memberPorts: true, subject: 'child' },
            { type: 'CHANGED', revision, memberPorts: false, subject: 'loadBalancer' },
          ];
    // One is replaced, or made where it is missing, and another given back, which has gone by itself meanwhile.
    const surplus = { oldId: 'surplus', newId: null, role: 'STANDALONE' };
    const failovers = (existing.length > 1 ? [] : [existing[0] ?? null]).map((oldId) => ({
      type: 'FAILOVER',
      replacements: [{ oldId, newId: oldId === 'a' ? 'b' : 'a', role: 'STANDALONE' }, surplus],
    }));
    const commands = [...changes, ...failovers, { type: 'DELETE' }, poisoned];
    // What the chart does not know in a state changes nothing there, and need not be tried with every context.
    return [...reports, ...commands].filter((event) => snapshot.can(event as never)) as never;
  },
  outputs: {
    allocateVip: { vip, additionalVips: [] },
    findVip: { vip, additionalVips: [] },
  },
  errors: [terminal],
  distinguish: ({ context, value }: AnyMachineSnapshot) => {
    const { amphorae, memberPorts, ownChange, pass, restoring, error, replacements, ...revisions } =
      context as LoadBalancerContext;
    // Only how the revisions lie to each other: they grow for ever.
    const waiting = revisions.desiredRevision > pass.revision;
    const undecided = pass.revision > revisions.decidedRevision;
    const progress = amphorae.map(({ id, phase, standing }) => [id, phase, standing]);
    const applying = typeof value === 'object' && 'updating' in value;
    const changes = applying ? [memberPorts, ownChange, pass.ownChange, waiting, undecided] : [waiting];
    return [progress, revisions.peersChanged, replacements, changes, restoring, error?.kind];
  },
  settled: settledLoadBalancer,
};

/** What only a pair can meet: one of two is away, and is there again. Everything else is walked with one amphora. */
const pairWalk: ExplorationOptions = {
  ...loadBalancerWalk,
  input: { loadBalancerId: 'lb', topology: 'ACTIVE_STANDBY', amphoraIds: ['a', 'b'] },
  commands: (snapshot) => {
    const { round, desiredRevision, replacements, amphorae } = snapshot.context as LoadBalancerContext;
    const reports = amphorae.flatMap(({ id: amphoraId, phase, standing }) => {
      const report = { amphoraId, round };
      return [
        ...(phase === 'waiting'
          ? [
              { type: 'AMPHORA_PLUGGED', ...report },
              { type: 'AMPHORA_CONFIGURED', ...report },
              { type: 'AMPHORA_FAILED', ...report, step: 'configSync', error: transient },
            ]
          : []),
        ...(phase === 'configured' ? [{ type: 'AMPHORA_SYNCED', ...report, revision: desiredRevision }] : []),
        ...(standing === 'leaving' ? [{ type: 'AMPHORA_EXCLUDED', amphoraId }] : []),
        ...(standing === 'excluded' ? [{ type: 'AMPHORA_ANSWERS', amphoraId }] : []),
        ...(replacements[0]?.oldId === amphoraId ? [{ type: 'AMPHORA_RELEASED', amphoraId }] : []),
      ];
    });
    const commands = amphorae.some(({ id }) => id === 'c')
      ? []
      : [
          { type: 'CHANGED', revision: desiredRevision + 1, memberPorts: true, subject: 'child' },
          { type: 'FAILOVER', replacements: [{ oldId: 'a', newId: 'c', role: 'MASTER' }] },
          { type: 'DELETE' },
        ];
    return [...reports, ...commands].filter((event) => snapshot.can(event as never)) as never;
  },
};

// Of a pair, one amphora is walked: two would multiply the states, and their counting is the same for any number.
const loadBalancer = union([
  ...['SINGLE', 'ACTIVE_STANDBY'].map((topology) =>
    explore(loadBalancerMachine, {
      ...loadBalancerWalk,
      input: { loadBalancerId: 'lb', topology, amphoraIds: ['a'] },
    }),
  ),
  explore(loadBalancerMachine, pairWalk),
]);

const charts = [
  { machine: amphoraMachine, walked: amphora, settled: settledAmphora },
  { machine: loadBalancerMachine, walked: loadBalancer, settled: settledLoadBalancer },
];

for (const { machine, walked, settled } of charts) {
  test(`${machine.id}: every state can be reached`, () => {
    assert.equal(missing(leafStates(machine), walked.reached, transientStates), []);
  });

  test(`${machine.id}: every transition is taken`, () => {
    const all = [...eventTransitions(machine), ...eventlessTransitions(machine)];
    assert.equal(missing(all, walked.taken), []);
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
const transientStates = ['settled', 'updating.deciding', 'updating.rejecting', 'failingOver.choosing'];

function union(walks: Exploration[]): Exploration {
  return {
    reached: new Set(walks.flatMap(({ reached }) => [...reached])),
    taken: new Set(walks.flatMap(({ taken }) => [...taken])),
    clashes: walks.flatMap(({ clashes }) => clashes),
    stuck: walks.flatMap(({ stuck }) => stuck),
  };
}

function missing(expected: string[], actual: Exploration['reached'], except: string[] = []): string[] {
  return expected.filter((each) => !actual.has(each) && !except.includes(each));
}

test.run();
