import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { shrinkHeap } from '../../src/cli/heap.ts';
import { waitFor } from '../../src/cli/up/wait.ts';

const LOOK_MS = 40;

/** Never wait for anything, so long. */
async function work(milliseconds: number): Promise<void> {
  for (const end = performance.now() + milliseconds; performance.now() < end; ) await nextTurn();
}

test('a process collects the garbage of its start, and much garbage when it comes to rest', async () => {
  let collections = 0;
  const collect = () => {
    collections += 1;
  };
  shrinkHeap({ lookMs: LOOK_MS, collect });

  assert.is(collections, 1);
  await pause(6 * LOOK_MS);
  assert.is(collections, 1, 'at rest with nothing new');
  const kept = Array.from({ length: 4 }, () => new Array(2 ** 20).fill(0.5));
  await work(6 * LOOK_MS);
  assert.is(collections, 1, 'while it works');
  await waitFor('a collection at rest', 10, () => (collections === 2 ? true : undefined));
  assert.is(kept.length, 4);
});

test.run();
