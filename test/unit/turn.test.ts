import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AnyStateMachine, setup } from 'xstate';
import { interpret } from '../../src/actors/interpreter.ts';
import type { ActorId, ActorRow, Commit } from '../../src/actors/store.ts';
import { followersOf, newborn, partsOf } from '../../src/actors/turn.ts';
import type { SendParams } from '../../src/machines/actions.ts';
import type { ActorKind } from '../../src/machines/address.ts';
import type { RowChange } from '../../src/machines/row-change.ts';

const LB = '9f6f2d3c-0d6b-4a0e-8a2c-1d2f3a4b5c6d';
const address = (kind: ActorKind, id: string) => ({ kind, id, loadBalancerId: LB });
const asker = address('load-balancer', LB);
const [one, two] = [address('amphora', 'one'), address('amphora', 'two')];

const patch = (id: string): RowChange => ({
  op: 'patchAmphora',
  amphoraId: id,
  patch: { ha_ip: '192.0.2.1' },
});

/** Does what events say: sends messages, changes rows, waits, stops waiting, throws. */
const chart = setup({
  actions: {
    send: (_, _params: { messages: SendParams[] }) => {},
    rows: (_, _params: { changes: RowChange[] }) => {},
    refuse: () => {},
  },
}).createMachine({
  initial: 'resting',
  on: {
    SEND: { actions: { type: 'send', params: ({ event }) => ({ messages: event.messages }) } },
    PATCH: { actions: { type: 'rows', params: ({ event }) => ({ changes: [patch(event.id)] }) } },
    THROW: {
      guard: () => {
        throw new Error('no');
      },
      actions: 'refuse',
    },
    WAIT: '.waiting',
    REST: '.resting',
    END: '.ended',
  },
  states: { resting: {}, waiting: { after: { 1000: 'resting' } }, ended: { type: 'final' } },
});

function actor(to: ActorId): ActorRow {
  const born = newborn({ address: to, input: {} }, 3);
  const { snapshot, state } = interpret(chart, born, { type: 'amphorae.start' });
  return { ...born, snapshot, state, version: 1 };
}

const message = (to: typeof asker, event: object) => ({ to, event }) as SendParams;

/** What becomes of messages that are sent, with these actors at hand. */
function played(messages: SendParams[], atHand: ActorId[] = [one, two]): Commit {
  const first = actor(asker);
  const event = { type: 'SEND', messages };
  const step = { actor: first, event, outcome: interpret(chart, first, event) };
  const followers = followersOf(
    step,
    () => chart as AnyStateMachine,
    ({ kind, id }) =>
      atHand.some((each) => each.id === id && each.kind === kind) ? actor({ kind, id }) : undefined,
  );
  return { ...step, followers, cause: { from: 'effect', effectId: 'e', token: 1 }, node: 'n', epoch: 1 };
}

const taken = ({ followers }: Commit) => followers.map(({ actor, event }) => `${actor.id} ${event.type}`);

test('actors at hand take what is sent, and what they send in turn, in its order', () => {
  const back = message(asker, { type: 'REST' });
  const commit = played([
    message(one, { type: 'SEND', messages: [message(two, { type: 'REST' }), back] }),
    message(two, { type: 'WAIT' }),
  ]);
  assert.equal(taken(commit), ['one SEND', 'two WAIT', 'two REST', `${LB} REST`]);
});

test('what is not taken is left with all that goes to the same actor after it', () => {
  const patched = message(two, { type: 'PATCH', id: 'same' });
  const commit = played([
    message(one, { type: 'PATCH', id: 'same' }),
    patched,
    message(two, { type: 'WAIT' }),
    message(one, { type: 'THROW' }),
    message(one, { type: 'REST' }),
  ]);
  assert.equal(taken(commit), ['one PATCH']);
  assert.equal(taken(played([message(one, { type: 'WAIT' })], [two])), []);
});

test('one that has ended takes no more', () => {
  assert.equal(taken(played([message(one, { type: 'END' }), message(one, { type: 'REST' })])), ['one END']);
});

test('actors that answer each other for ever do not keep a commit from being made', () => {
  const endless: SendParams[] = [];
  const ping = message(one, { type: 'SEND', messages: endless });
  endless.push(message(two, { type: 'SEND', messages: [ping] }));
  assert.is(played([ping]).followers.length, 16);
});

test('several steps of an actor are one part, and what ends within it never begins', () => {
  const commit = played([
    message(one, { type: 'WAIT' }),
    message(two, { type: 'WAIT' }),
    message(one, { type: 'REST' }),
    message(one, { type: 'PATCH', id: 'one' }),
  ]);
  const [head, first, second] = partsOf(commit);
  assert.equal([head?.steps.length, first?.steps.length, second?.steps.length], [1, 3, 1]);
  assert.equal([first?.before.version, first?.after.version, first?.after.state], [1, 4, 'resting']);
  assert.equal([first?.outcome.armedTimers, first?.outcome.previousState], [[], 'resting']);
  assert.equal(first?.outcome.rowChanges, [patch('one')]);
  assert.is(second?.outcome.armedTimers.length, 1);
});

test.run();
