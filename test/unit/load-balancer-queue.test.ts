import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ActorState, interpret, type Outcome } from '../../src/actors/interpreter.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import type { RowChange } from '../../src/machines/row-change.ts';

// Changes that arrive while an earlier one is being applied.

const terminal = { kind: 'terminal', code: 'agent_refused', message: 'refused' };
const transient = { kind: 'transient', code: 'agent_unreachable', message: 'no answer' };

/** A load balancer of one amphora that is ACTIVE with revision 1. */
class Chart {
  state = '';
  /** Row changes and commands of the last event. */
  rows: RowChange[] = [];
  commands: string[] = [];
  #actor: ActorState = {
    snapshot: null,
    input: { loadBalancerId: 'lb', topology: 'SINGLE', amphoraIds: ['a'] },
    version: 0,
    effects: {},
  };
  #round = 0;

  constructor() {
    const vip = { address: '198.51.100.7', subnetId: 's', networkId: 'n', portId: 'p' };
    this.send({ type: 'start' });
    const output = { vip, additionalVips: [] };
    this.send({ type: 'xstate.done.actor.allocateVip', output, actorId: 'allocateVip' });
    this.plugged();
    this.synced(1);
  }

  send(event: { type: string; [key: string]: unknown }): void {
    const outcome: Outcome = interpret(loadBalancerMachine, this.#actor, event);
    const { snapshot, effects, state, rowChanges, messages } = outcome;
    this.#actor = { ...this.#actor, snapshot, effects, version: this.#actor.version + 1 };
    this.#round = (snapshot as { context: { round: number } }).context.round;
    this.state = state;
    this.rows = rowChanges;
    this.commands = messages.map((message) => message.event.type);
  }

  changed(revision: number, about: { memberPorts?: boolean; subject?: 'loadBalancer' | 'child' } = {}): void {
    this.send({ type: 'CHANGED', revision, memberPorts: false, subject: 'child', ...about });
  }

  plugged(): void {
    this.send({ type: 'AMPHORA_PLUGGED', amphoraId: 'a', round: this.#round });
  }

  /** Configuration and firewall are in force. */
  synced(revision: number): void {
    const report = { amphoraId: 'a', round: this.#round };
    this.send({ type: 'AMPHORA_CONFIGURED', ...report });
    this.send({ type: 'AMPHORA_SYNCED', ...report, revision });
  }

  failed(error: object): void {
    this.send({ type: 'AMPHORA_FAILED', amphoraId: 'a', round: this.#round, step: 'configSync', error });
  }
}

const settled = (revision: number, decided = revision) => ({
  ...{ op: 'settle', loadBalancerId: 'lb', revision, decided, revive: false },
});
const rejected = (beyond: number, through: number, error: object, withhold: boolean) => ({
  ...{ op: 'reject', loadBalancerId: 'lb', beyond, through, error, withhold },
});

test('changes that the push has carried already need no other one', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.changed(3);
  chart.changed(4);
  chart.synced(4);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(4)]);
});

test('changes that came too late for a push share the next one, and the first is settled meanwhile', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.changed(3);
  chart.changed(4);
  chart.synced(2);
  assert.is(chart.state, 'updating.configSync');
  assert.equal(chart.rows, [settled(2)]);
  assert.equal(chart.commands, ['SYNC']);
  chart.synced(4);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(4)]);
});

test('a change that nobody has announced yet is not settled, although the push has carried it', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.synced(3);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(2)]);
  chart.changed(3, { memberPorts: true });
  assert.is(chart.state, 'updating.memberPorts');
});

test('ports of a change that waits are plugged, although the push has carried the change', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.changed(3, { memberPorts: true });
  chart.synced(3);
  assert.is(chart.state, 'updating.memberPorts');
  assert.equal(chart.rows, [settled(2)]);
  chart.plugged();
  chart.synced(3);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(3)]);
});

test('ports of a change that comes while others are plugged are plugged next', () => {
  const chart = new Chart();
  chart.changed(2, { memberPorts: true });
  chart.changed(3, { memberPorts: true });
  chart.plugged();
  chart.synced(3);
  assert.is(chart.state, 'updating.memberPorts');
  assert.equal(chart.rows, [settled(2)]);
});

test('a change that is rejected takes none with it that waits', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.changed(3);
  chart.failed(terminal);
  assert.is(chart.state, 'updating.memberPorts');
  assert.equal(chart.rows, [rejected(1, 2, terminal, true)]);
  chart.plugged();
  chart.synced(3);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(3)]);
});

test('an amphora that was not reached keeps none waiting', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.changed(3);
  chart.failed(transient);
  assert.is(chart.state, 'updating.configSync');
  assert.equal(chart.rows, [rejected(1, 2, transient, false), settled(1, 2)]);
  chart.synced(3);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(3)]);
});

test('when the next change is bad as well, the amphora goes back to what was accepted before both', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.changed(3);
  chart.failed(terminal);
  chart.failed(terminal);
  assert.is(chart.state, 'updating.memberPorts');
  assert.equal(
    chart.rows.map(({ op }) => op),
    ['reject'],
  );
  chart.plugged();
  chart.synced(3);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(3)]);
});

test('an own change that waits does not make an earlier failure one of the load balancer', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.changed(3, { subject: 'loadBalancer' });
  chart.failed(terminal);
  assert.is(chart.state, 'updating.memberPorts');
  chart.failed(terminal);
  assert.is(chart.state, 'ERROR');
});

test('an own change that was applied is no reason for a later failure', () => {
  const chart = new Chart();
  chart.changed(2);
  chart.changed(3, { subject: 'loadBalancer' });
  chart.synced(3);
  assert.is(chart.state, 'ACTIVE');
  chart.changed(4);
  chart.failed(terminal);
  assert.is(chart.state, 'updating.memberPorts');
});

test('what was accepted in the moment of a failure fails with it', () => {
  const chart = new Chart();
  chart.changed(2, { subject: 'loadBalancer' });
  chart.failed(terminal);
  assert.is(chart.state, 'ERROR');
  chart.changed(3);
  assert.is(chart.state, 'ERROR');
  assert.equal(chart.rows, [rejected(1, 3, terminal, false)]);
});

test.run();
