import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LoadBalancerChart } from '../support/load-balancer-chart.ts';

// A pair of which one amphora does not answer.

const away = { kind: 'transient', code: 'agent_unreachable', message: 'no answer' };
const refused = { kind: 'terminal', code: 'agent_refused', message: 'refused' };

/** The chart of a pair, `a` and `b`, after a change during which `b` went away. */
function withoutB(): LoadBalancerChart {
  const chart = new LoadBalancerChart('a', 'b');
  chart.changed(2);
  chart.synced(2, 'a');
  chart.failed(away, 'b');
  chart.excluded('b');
  chart.synced(2, 'a');
  assert.is(chart.state, 'ACTIVE');
  return chart;
}

test('a change goes on without an amphora that fails, and is settled once the other one knows', () => {
  const chart = new LoadBalancerChart('a', 'b');
  chart.changed(2);
  chart.synced(2, 'a');
  assert.is(chart.state, 'updating.syncStraggler');
  chart.failed(away, 'b');
  assert.equal(chart.commands, ['EXCLUDE b']);
  assert.equal(chart.ops, []);
  chart.excluded('b');
  assert.is(chart.state, 'updating.configSync');
  assert.equal(chart.commands, ['SYNC a']);
  chart.synced(2, 'a');
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.ops, ['settle']);
});

test('a change waits for a grace period only when one amphora says nothing', () => {
  const chart = new LoadBalancerChart('a', 'b');
  chart.changed(2, { memberPorts: true });
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
  const chart = new LoadBalancerChart('a', 'b');
  chart.changed(2);
  chart.synced(2, 'a');
  chart.late();
  chart.synced(2, 'b');
  assert.is(chart.state, 'updating.syncStraggler');
  chart.excluded('b');
  assert.equal(chart.commands, ['SYNC a']);
});

test('the next change does not wait for an amphora that is excluded', () => {
  const chart = withoutB();
  chart.changed(3, { memberPorts: true });
  assert.equal(chart.commands, ['PLUG_PORTS a']);
  chart.plugged('a');
  chart.synced(3, 'a');
  assert.is(chart.state, 'ACTIVE');
});

test('an amphora that answers again is brought into step, and then its peer learns of it', () => {
  const chart = withoutB();
  chart.send({ type: 'AMPHORA_ANSWERS', amphoraId: 'b' });
  assert.equal(chart.commands, ['PLUG_PORTS a', 'PLUG_PORTS b']);
  assert.equal(chart.ops, []);
  chart.plugged('a', 'b');
  assert.equal(chart.commands, ['SYNC a', 'SYNC b']);
  chart.synced(2, 'a', 'b');
  assert.equal(chart.commands, ['SYNC a', 'SYNC b']);
  chart.synced(2, 'a', 'b');
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.ops, [], 'a request that was accepted meanwhile keeps its status');
  chart.changed(3);
  assert.equal(chart.commands, ['SYNC a', 'SYNC b']);
});

test('an amphora that answers while a change is applied waits for its end', () => {
  const chart = withoutB();
  chart.changed(3);
  chart.send({ type: 'AMPHORA_ANSWERS', amphoraId: 'b' });
  assert.equal(chart.commands, []);
  chart.synced(3, 'a');
  assert.is(chart.state, 'rejoining.memberPorts');
  assert.equal(chart.ops, ['settle']);
});

test('an amphora that fails to rejoin is excluded again, and the load balancer takes changes', () => {
  const chart = withoutB();
  chart.send({ type: 'AMPHORA_ANSWERS', amphoraId: 'b' });
  chart.plugged('a', 'b');
  chart.changed(3);
  assert.is(chart.state, 'rejoining.configSync');
  chart.failed(refused, 'b');
  assert.equal(chart.commands, ['EXCLUDE b']);
  chart.synced(2, 'a');
  chart.excluded('b');
  chart.synced(2, 'a');
  assert.is(chart.state, 'updating.configSync');
  assert.equal(chart.commands, ['SYNC a']);
});

test('when the one that served is lost while the other rejoins, the other takes its place', () => {
  const chart = withoutB();
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
  const chart = new LoadBalancerChart('a', 'b');
  chart.changed(2);
  chart.failed(away, 'b');
  assert.is(chart.state, 'updating.configSync');
  chart.failed(away, 'a');
  assert.is(chart.state, 'ACTIVE');
  assert.equal(chart.ops, ['reject', 'settle']);
});

test('what one amphora refuses is not in force, although the other one has taken it', () => {
  const chart = new LoadBalancerChart('a', 'b');
  chart.changed(2);
  chart.synced(2, 'a');
  chart.failed(refused, 'b');
  assert.equal(chart.ops, ['reject']);
  assert.equal(chart.commands, ['PLUG_PORTS a', 'PLUG_PORTS b']);
});

test('an excluded amphora is deleted with its load balancer', () => {
  const chart = withoutB();
  chart.send({ type: 'DELETE' });
  assert.equal(chart.commands, ['RELEASE a', 'RELEASE b']);
});

test('a failover of the excluded amphora needs no word from it', () => {
  const chart = withoutB();
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
  const chart = new LoadBalancerChart('a', 'b');
  const replacements = [{ oldId: 'a', newId: 'c', role: 'MASTER' }];
  chart.send({ type: 'FAILOVER', replacements });
  const output = { vip: null, additionalVips: [] };
  chart.send({ type: 'xstate.done.actor.findVip', output, actorId: 'findVip' });
  chart.plugged('c');
  chart.failed(away, 'b');
  chart.synced(1, 'c');
  chart.send({ type: 'AMPHORA_RELEASED', amphoraId: 'a' });
  assert.is(chart.state, 'failingOver.settling');
  chart.failed(away, 'b');
  assert.equal(chart.commands, ['EXCLUDE b']);
  chart.synced(1, 'c');
  chart.excluded('b');
  assert.equal(chart.commands, ['SYNC c']);
  chart.synced(1, 'c');
  assert.is(chart.state, 'ACTIVE');
});

test.run();
