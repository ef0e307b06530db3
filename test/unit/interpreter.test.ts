import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { setup } from 'xstate';
import { type ActorState, effectDone, effectFailed, interpret } from '../../src/actors/interpreter.ts';
import { runtimeActions } from '../../src/machines/actions.ts';
import { effect } from '../../src/machines/effects.ts';

// The runtime reads XState's actions as data. These tests say which ones it relies on, so that an upgrade that renames
// or reorders them is noticed here and not in production.

const reference = { amphoraId: 'a', loadBalancerId: 'lb' };

const machine = setup({
  types: {} as { events: { type: 'GO' } | { type: 'AGAIN' } },
  actors: { pushConfig: effect('pushConfig') },
  actions: runtimeActions,
  delays: { deadline: 5_000 },
}).createMachine({
  id: 'probe',
  initial: 'working',
  states: {
    working: {
      entry: {
        type: 'send',
        params: {
          messages: [{ to: { kind: 'amphora', id: 'a', loadBalancerId: 'lb' }, event: { type: 'RELEASE' } }],
        },
      },
      invoke: { id: 'push', src: 'pushConfig', input: reference, onDone: 'resting', onError: 'failed' },
      after: { deadline: 'failed' },
      on: { GO: 'resting', AGAIN: { target: 'working', reenter: true } },
    },
    resting: { on: { AGAIN: 'passing' } },
    passing: { always: 'working' },
    failed: { type: 'final' },
  },
});

const newborn: ActorState = { snapshot: null, input: {}, version: 0, effects: {} };

function next(actor: ActorState, type: string | { type: string }): ActorState & ReturnType<typeof interpret> {
  const outcome = interpret(machine, actor, typeof type === 'string' ? { type } : type);
  // What is stored is JSON; what JSON loses must not matter.
  return { ...actor, ...JSON.parse(JSON.stringify(outcome)), version: actor.version + 1 };
}

test('the first event takes the initial transition: effects, timers and messages come out as data', () => {
  const born = next(newborn, 'amphorae.start');
  assert.is(born.state, 'working');
  assert.equal(born.effects, { push: { src: 'pushConfig', input: reference, token: 1 } });
  assert.equal(born.startedEffects, ['push']);
  assert.equal(
    born.armedTimers.map(({ name, delayMs }) => [name, delayMs]),
    [['xstate.after.deadline.probe.working', 5_000]],
  );
  assert.equal(
    born.messages.map(({ event }) => event.type),
    ['RELEASE'],
  );
});

test('a result leaves the state: the effect is stopped and the timer disarmed', () => {
  const rested = next(
    next(newborn, 'amphorae.start'),
    effectDone('push', { revision: 1 }) as { type: string },
  );
  assert.is(rested.state, 'resting');
  assert.equal(rested.effects, {});
  assert.equal(rested.stoppedEffects, ['push']);
  assert.equal(rested.disarmedTimers, ['xstate.after.deadline.probe.working']);
});

test('a failure carries its record to the chart', () => {
  const failed = next(
    next(newborn, 'amphorae.start'),
    effectFailed('push', { kind: 'terminal' }) as { type: string },
  );
  assert.is(failed.state, 'failed');
  assert.ok(failed.done);
});

test('a timer fires as the event that was stored with it', () => {
  const born = next(newborn, 'amphorae.start');
  assert.is(next(born, born.armedTimers[0]?.event ?? '').state, 'failed');
});

test('entering a state again starts its effect under a new token and arms its timer anew', () => {
  const again = next(next(newborn, 'amphorae.start'), 'AGAIN');
  assert.is(again.effects.push?.token, 2);
  assert.equal(again.startedEffects, ['push']);
  assert.equal(again.stoppedEffects, ['push']);
  assert.is(again.armedTimers.length, 1);
});

test('a state that is only passed through does not keep the next one from starting its effect', () => {
  const passed = next(next(next(newborn, 'amphorae.start'), 'GO'), 'AGAIN');
  assert.is(passed.state, 'working');
  assert.is(passed.effects.push?.token, 3);
});

test('an event that the chart does not know is said to be unhandled and changes nothing', () => {
  const born = next(newborn, 'amphorae.start');
  const same = next(born, 'UNKNOWN');
  assert.not(same.handled);
  assert.is(same.state, 'working');
  assert.equal(same.effects, born.effects);
});

test.run();
