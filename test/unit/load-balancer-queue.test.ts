import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LoadBalancerChart } from '../support/load-balancer-chart.ts';

// Changes that arrive while an earlier one is being applied.

const terminal = { kind: 'terminal', code: 'agent_refused', message: 'refused' };
const transient = { kind: 'transient', code: 'agent_unreachable', message: 'no answer' };

const settled = (revision: number, decided = revision) => ({
  ...{ op: 'settle', loadBalancerId: 'lb', revision, decided, revive: false },
});
const rejected = (beyond: number, through: number, error: object, withhold: boolean) => ({
  ...{ op: 'reject', loadBalancerId: 'lb', beyond, through, error, withhold },
});

test('changes that the push has carried already need no other one', () => {
  const chart = new LoadBalancerChart('a');
  chart.changed(2);
  chart.changed(3);
  chart.changed(4);
  chart.synced(4);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(4)]);
});

test('changes that came too late for a push share the next one, and the first is settled meanwhile', () => {
  const chart = new LoadBalancerChart('a');
  chart.changed(2);
  chart.changed(3);
  chart.changed(4);
  chart.synced(2);
  assert.is(chart.state, 'updating.configSync');
  assert.equal(chart.rows, [settled(2)]);
  assert.equal(chart.commands, ['SYNC a']);
  chart.synced(4);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(4)]);
});

test('a change that nobody has announced yet is not settled, although the push has carried it', () => {
  const chart = new LoadBalancerChart('a');
  chart.changed(2);
  chart.synced(3);
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.rows, [settled(2)]);
  chart.changed(3, { memberPorts: true });
  assert.is(chart.state, 'updating.memberPorts');
});

test('ports of a change that waits are plugged, although the push has carried the change', () => {
  const chart = new LoadBalancerChart('a');
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
  const chart = new LoadBalancerChart('a');
  chart.changed(2, { memberPorts: true });
  chart.changed(3, { memberPorts: true });
  chart.plugged();
  chart.synced(3);
  assert.is(chart.state, 'updating.memberPorts');
  assert.equal(chart.rows, [settled(2)]);
});

test('a change that is rejected takes none with it that waits', () => {
  const chart = new LoadBalancerChart('a');
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
  const chart = new LoadBalancerChart('a');
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
  const chart = new LoadBalancerChart('a');
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
  const chart = new LoadBalancerChart('a');
  chart.changed(2);
  chart.changed(3, { subject: 'loadBalancer' });
  chart.failed(terminal);
  assert.is(chart.state, 'updating.memberPorts');
  chart.failed(terminal);
  assert.is(chart.state, 'ERROR');
});

test('an own change that was applied is no reason for a later failure', () => {
  const chart = new LoadBalancerChart('a');
  chart.changed(2);
  chart.changed(3, { subject: 'loadBalancer' });
  chart.synced(3);
  assert.is(chart.state, 'ACTIVE');
  chart.changed(4);
  chart.failed(terminal);
  assert.is(chart.state, 'updating.memberPorts');
});

test('what was accepted in the moment of a failure fails with it', () => {
  const chart = new LoadBalancerChart('a');
  chart.changed(2, { subject: 'loadBalancer' });
  chart.failed(terminal);
  assert.is(chart.state, 'ERROR');
  chart.changed(3);
  assert.is(chart.state, 'ERROR');
  assert.equal(chart.rows, [rejected(1, 3, terminal, false)]);
});

test.run();
