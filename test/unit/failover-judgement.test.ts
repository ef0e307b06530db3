import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Census, judge } from '../../src/failover/judgement.ts';

const limits = { concurrency: 3, windowLimit: 10, windowMs: 600_000, stopPercent: 25, stopMinimum: 5 };
const quiet: Census = {
  ...{ state: 'admitting', byOperator: false },
  ...{ amphorae: 100, stale: 4, running: 0, recent: 0 },
};
const verdict = (found: Partial<Census>) => judge({ ...quiet, ...found }, limits);

test('as many may begin as there is room for, at once and in the window', () => {
  assert.is(verdict({}).room, 3);
  assert.is(verdict({ running: 2 }).room, 1);
  assert.is(verdict({ running: 5 }).room, 0);
  assert.is(verdict({ recent: 9 }).room, 1);
  assert.is(verdict({ recent: 12 }).room, 0);
});

test('none begins while too much is stale, and the reason says how much', () => {
  assert.equal(verdict({ stale: 26 }), {
    state: 'stopped',
    reason: '26 of 100 amphorae are stale, more than 25 %: heartbeats rather than amphorae have failed',
    room: 0,
  });
  assert.is(verdict({ stale: 25 }).state, 'admitting');
});

test('a few stale amphorae never stop it, however few there are in all', () => {
  assert.is(verdict({ amphorae: 5, stale: 5 }).room, 3);
  assert.is(verdict({ amphorae: 6, stale: 6 }).state, 'stopped');
});

test('it goes on by itself when much less is stale', () => {
  assert.is(verdict({ state: 'stopped', stale: 13 }).state, 'stopped');
  assert.equal(verdict({ state: 'stopped', stale: 12 }), { state: 'admitting', reason: '', room: 3 });
});

test('what an operator stopped goes on only by an operator', () => {
  assert.equal(verdict({ state: 'stopped', byOperator: true, stale: 1 }).room, 0);
});

test('an operator may have failovers begin although much is stale, paced as ever, until less is', () => {
  assert.equal(verdict({ state: 'overridden', byOperator: true, stale: 90, running: 1 }), {
    ...{ state: 'overridden', reason: '', room: 2 },
  });
  assert.is(verdict({ state: 'overridden', byOperator: true, stale: 25 }).state, 'admitting');
});

test.run();
