import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { and, createMachine, not, or } from 'xstate';
import { differences } from '../../src/visualizer/difference.ts';
import { reasonOf } from '../../src/visualizer/reason.ts';
import { statechartOf } from '../../src/visualizer/statechart.ts';
import { rowsOf } from '../../src/visualizer/text.ts';
import { guardInWords, timeInWords } from '../../src/visualizer/words.ts';

test('a duration is said in its two largest units', () => {
  const said = [0, 0.4, 3, 999, 1_000, 90_000, 900_000, 5_400_000, 90_061_000].map(timeInWords);
  assert.equal(said, [
    '0 ms',
    '0 ms',
    '3 ms',
    '999 ms',
    '1 s',
    '1 min 30 s',
    '15 min',
    '1 h 30 min',
    '25 h 1 min',
  ]);
});

test('guards are said in words, also where they are made of others', () => {
  assert.is(guardInWords('allPlugged'), 'all plugged');
  assert.is(guardInWords({ type: 'currentRound' }), 'current round');
  assert.is(guardInWords(or(['ownChange', 'nothingToReject'])), 'own change or nothing to reject');
  assert.is(
    guardInWords(and([not('restoring'), 'failureIsTransient'])),
    'not restoring and failure is transient',
  );
});

test('two values differ in the smallest parts, at their places', () => {
  const before = { round: 1, amphorae: [{ id: 'a', phase: 'waiting' }], error: null };
  const after = { round: 2, amphorae: [{ id: 'a', phase: 'plugged' }, { id: 'b' }], error: { code: 'x' } };
  assert.equal(differences(before, after), [
    { path: 'round', before: 1, after: 2 },
    { path: 'amphorae[0].phase', before: 'waiting', after: 'plugged' },
    { path: 'amphorae[1]', after: { id: 'b' } },
    { path: 'error', before: null, after: { code: 'x' } },
  ]);
  assert.equal(differences(after, structuredClone(after)), []);
  assert.equal(differences({ list: [1] }, { list: { 0: 1 } }), [
    { path: 'list', before: [1], after: { 0: 1 } },
  ]);
});

test('every way out of a state is told apart, in the order in which they are tried', () => {
  const machine = createMachine({
    id: 'door',
    initial: 'closed',
    states: {
      closed: {
        on: { PUSH: [{ target: 'open', guard: 'unlocked' }, { actions: 'creak' }] },
        after: { 90000: 'locked' },
      },
      open: { always: [{ target: 'closed', guard: 'windy' }, { target: 'locked' }] },
      locked: { type: 'final' },
    },
  });
  const { transitions } = statechartOf(machine);
  assert.equal(
    transitions.map(({ key, to, label, condition }) => [key, to, label, condition]),
    [
      ['closed/PUSH', 'open', 'PUSH', 'if unlocked'],
      ['closed/PUSH/1', undefined, 'PUSH', ''],
      ['closed/xstate.after.90000.door.closed', 'locked', 'after 1 min 30 s', ''],
      ['open/', 'closed', 'when windy', ''],
      ['open//1', 'locked', 'else', ''],
    ],
  );
});

test('a text that is too long goes on in the next row, and no word is lost', () => {
  assert.equal(rowsOf('PUSH', 'if unlocked', 20), [
    [
      { text: 'PUSH', soft: false },
      { text: 'if unlocked', soft: true },
    ],
  ]);
  const rows = rowsOf('one two three four', 'if five six', 9);
  assert.equal(
    rows.flat().map(({ text }) => text),
    ['one two', 'three', 'four', 'if five', 'six'],
  );
});

test('the reason of a failure says what kind it is, and what the provider said, word for word', () => {
  const error = { kind: 'placement', code: 'no_vf_left', message: 'all 8 VFs of enp1s0f0 are in use' };
  const reason = reasonOf('amphora', { failure: { step: 'portPlug', error } });
  assert.match(reason?.words ?? '', /^In the step port plug, no place satisfies the request/);
  assert.is(reason?.message, error.message);
  assert.is(reason?.code, error.code);
  assert.match(reasonOf('load-balancer', { error })?.words ?? '', /^No place satisfies/);
  assert.is(reasonOf('load-balancer', { error: null }), undefined);
  assert.is(reasonOf('amphora', { failure: null }), undefined);
});

test.run();
