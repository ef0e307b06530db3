import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ActorState, interpret, type Outcome } from '../../src/actors/interpreter.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import type { RowChange } from '../../src/machines/row-change.ts';

// A pair of which one amphora does not answer.

const away = { kind: 'transient', code: 'agent_unreachable', message: 'no answer' };
const refused = { kind: 'terminal', code: 'agent_refused', message: 'refused' };

/** A load balancer of two amphorae, `a` and `b`, that is ACTIVE with revision 1. */
class Chart {
  state = '';
  /** Row changes and commands of the last event. */
  rows: RowChange['op'][] = [];
  commands: string[] = [];
  timers = new Map<string, { type: string }>();
  #actor: ActorState = {
    snapshot: null,
    input: { loadBalancerId: 'lb', topology: 'ACTIVE_STANDBY', amphoraIds: ['a', 'b'] },
    version: 0,
    effects: {},
  };
  #round = 0;

  constructor() {
    const vip = { address: '198.51.100.7', subnetId: 's', networkId: 'n', portId: 'p' };
    this.send({ type: 'start' });
    const output = { vip, additionalVips: [] };
    this.send({ type: 'xstate.done.actor.allocateVip', output, actorId: 'allocateVip' });
    this.plugged('a', 'b');
    this.synced(1, 'a', 'b');
  }

  send(event: { type: string; [key: string]: unknown }): void {
    const outcome: Outcome = interpret(loadBalancerMachine, this.#actor, event);
    const { snapshot, effects, state, rowChanges, messages } = outcome;
    this.#actor = { ...this.#actor, snapshot, effects, version: this.#actor.version + 1 };
    this.#round = (snapshot as { context: { round: number } }).context.round;
    for (const name of outcome.disarmedTimers) this.timers.delete(name);
    for (const { name, event } of outcome.armedTimers) this.timers.set(name, event);
    this.state = state;
    this.rows = rowChanges.map(({ op }) => op);
    this.commands = messages.map(({ to, event }) => `${event.type} ${to.id}`);
  }

  changed(revision: number, memberPorts = false): void {
    this.send({ type: 'CHANGED', revision, memberPorts, subject: 'child' });
  }

  plugged(...ids: string[]): void {
    for (const amphoraId of ids) this.send({ type: 'AMPHORA_PLUGGED', amphoraId, round: this.#round });
  }

  synced(revision: number, ...ids: string[]): void {
    const round = this.#round;
    for (const amphoraId of ids) this.send({ type: 'AMPHORA_CONFIGURED', amphoraId, round });
    for (const amphoraId of ids) this.send({ type: 'AMPHORA_SYNCED', amphoraId, round, revision });
  }

  failed(amphoraId: string, error: object): void {
    this.send({ type: 'AMPHORA_FAILED', amphoraId, round: this.#round, step: 'configSync', error });
  }

  /** The grace period of the state ends. */
  late(): void {
    const event = [...this.timers].find(([name]) => name.includes('Grace'))?.[1];
    assert.ok(event, `nobody is late in ${this.state}`);
    this.send(event);
  }

  excluded(amphoraId: string): void {
    this.send({ type: 'AMPHORA_EXCLUDED', amphoraId });
  }

  /** A change during which `b` goes away. */
  loseB(revision = 2): void {
    this.changed(revision);
    this.synced(revision, 'a');
    this.failed('b', away);
    this.excluded('b');
    this.synced(revision, 'a');
    assert.is(this.state, 'ACTIVE');
  }
}

test('a change goes on without an amphora that fails, and is settled once the other one knows', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.synced(2, 'a');
  assert.is(chart.state, 'updating.syncStraggler');
  chart.failed('b', away);
  assert.equal(chart.commands, ['EXCLUDE b']);
  assert.equal(chart.rows, []);
  chart.excluded('b');
  assert.is(chart.state, 'updating.configSync');
  assert.equal(chart.commands, ['SYNC a']);
  chart.synced(2, 'a');
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, ['settle']);
});

test('a change waits for a grace period only when one amphora says nothing', () => {
  const chart = new Chart();
  chart.changed(2, true);
  chart.plugged('b');
  assert.is(chart.state, 'updating.portStraggler');
  chart.late();
  assert.equal(chart.commands, ['EXCLUDE a']);
  chart.excluded('a');
  assert.equal(chart.commands, ['SYNC b']);
  chart.synced(2, 'b');
  assert.is(chart.state, 'ACTIVE');
});

test('an amphora that is late but done before it hears that it is excluded stays excluded', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.synced(2, 'a');
  chart.late();
  chart.synced(2, 'b');
  assert.is(chart.state, 'updating.syncStraggler');
  chart.excluded('b');
  assert.equal(chart.commands, ['SYNC a']);
});

test('the next change does not wait for an amphora that is excluded', () => {
  const chart = new Chart();
  chart.loseB();
  chart.changed(3, true);
  assert.equal(chart.commands, ['PLUG_PORTS a']);
  chart.plugged('a');
  chart.synced(3, 'a');
  assert.is(chart.state, 'ACTIVE');
});

test('an amphora that answers again is brought into step, and then its peer learns of it', () => {
  const chart = new Chart();
  chart.loseB();
  chart.send({ type: 'AMPHORA_ANSWERS', amphoraId: 'b' });
  assert.equal(chart.commands, ['PLUG_PORTS a', 'PLUG_PORTS b']);
  assert.equal(chart.rows, []);
  chart.plugged('a', 'b');
  assert.equal(chart.commands, ['SYNC a', 'SYNC b']);
  chart.synced(2, 'a', 'b');
  assert.equal(chart.commands, ['SYNC a', 'SYNC b']);
  chart.synced(2, 'a', 'b');
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [], 'a request that was accepted meanwhile keeps its status');
  chart.changed(3);
  assert.equal(chart.commands, ['SYNC a', 'SYNC b']);
});

test('an amphora that answers while a change is applied waits for its end', () => {
  const chart = new Chart();
  chart.loseB();
  chart.changed(3);
  chart.send({ type: 'AMPHORA_ANSWERS', amphoraId: 'b' });
  assert.equal(chart.commands, []);
  chart.synced(3, 'a');
  assert.is(chart.state, 'rejoining.memberPorts');
  assert.equal(chart.rows, ['settle']);
});

test('an amphora that fails to rejoin is excluded again, and the load balancer takes changes', () => {
  const chart = new Chart();
  chart.loseB();
  chart.send({ type: 'AMPHORA_ANSWERS', amphoraId: 'b' });
  chart.plugged('a', 'b');
  chart.changed(3);
  assert.is(chart.state, 'rejoining.configSync');
  chart.failed('b', refused);
  assert.equal(chart.commands, ['EXCLUDE b']);
  chart.synced(2, 'a');
  chart.excluded('b');
  chart.synced(2, 'a');
  assert.is(chart.state, 'updating.configSync');
  assert.equal(chart.commands, ['SYNC a']);
});

test('when the one that served is lost while the other rejoins, the other takes its place', () => {
  const chart = new Chart();
  chart.loseB();
  chart.send({ type: 'AMPHORA_ANSWERS', amphoraId: 'b' });
  chart.plugged('a', 'b');
  chart.synced(2, 'b');
  chart.late();
  assert.equal(chart.commands, ['EXCLUDE a']);
  chart.excluded('a');
  assert.equal(chart.commands, ['SYNC b']);
  chart.synced(2, 'b');
  assert.is(chart.state, 'ACTIVE');
});

test('a change fails when both are away, and not before', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.failed('b', away);
  assert.is(chart.state, 'updating.configSync');
  chart.failed('a', away);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, ['reject', 'settle']);
});

test('what one amphora refuses is not in force, although the other one has taken it', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.synced(2, 'a');
  chart.failed('b', refused);
  assert.equal(chart.rows, ['reject']);
  assert.equal(chart.commands, ['PLUG_PORTS a', 'PLUG_PORTS b']);
});

test('an excluded amphora is deleted with its load balancer', () => {
  const chart = new Chart();
  chart.loseB();
  chart.send({ type: 'DELETE' });
  assert.equal(chart.commands, ['RELEASE a', 'RELEASE b']);
});

test('a failover of the excluded amphora needs no word from it', () => {
  const chart = new Chart();
  chart.loseB();
  const replacements = [{ oldId: 'b', newId: 'c', role: 'BACKUP' }];
  chart.send({ type: 'FAILOVER', replacements });
  const output = { vip: null, additionalVips: [] };
  chart.send({ type: 'xstate.done.actor.findVip', output, actorId: 'findVip' });
  chart.plugged('c');
  assert.equal(chart.commands, ['SYNC a', 'SYNC c']);
  chart.synced(2, 'a', 'c');
  assert.equal(chart.commands, ['RELEASE b']);
  chart.send({ type: 'AMPHORA_RELEASED', amphoraId: 'b' });
  chart.synced(2, 'a', 'c');
  assert.is(chart.state, 'ACTIVE');
});

test('the failover of the one that served succeeds although the other is away', () => {
  const chart = new Chart();
  const replacements = [{ oldId: 'a', newId: 'c', role: 'MASTER' }];
  chart.send({ type: 'FAILOVER', replacements });
  const output = { vip: null, additionalVips: [] };
  chart.send({ type: 'xstate.done.actor.findVip', output, actorId: 'findVip' });
  chart.plugged('c');
  chart.failed('b', away);
  chart.synced(1, 'c');
  chart.send({ type: 'AMPHORA_RELEASED', amphoraId: 'a' });
  assert.is(chart.state, 'failingOver.settling');
  chart.failed('b', away);
  assert.equal(chart.commands, ['EXCLUDE b']);
  chart.synced(1, 'c');
  chart.excluded('b');
  assert.equal(chart.commands, ['SYNC c']);
  chart.synced(1, 'c');
  assert.is(chart.state, 'ACTIVE');
});

test.run();
