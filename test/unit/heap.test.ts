import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { shrinkHeapAtRest } from '../../src/cli/heap.ts';
import { waitFor } from '../../src/cli/up/wait.ts';

const LOOK_MS = 40;

/** Never wait for anything, so long. */
async function work(milliseconds: number): Promise<void> {
  for (const end = performance.now() + milliseconds; performance.now() < end; ) await nextTurn();
}

test('a process collects its garbage when it comes to rest, and again once there is much', async () => {
  let collections = 0;
  const collected = (times: number) =>
    waitFor(`collection ${times}`, 10, () => (collections === times ? true : undefined));
  const collect = () => {
    collections += 1;
  };
  shrinkHeapAtRest({ lookMs: LOOK_MS, collect });

  await work(6 * LOOK_MS);
  assert.is(collections, 0, 'while it works');
  await collected(1);
  await pause(6 * LOOK_MS);
  assert.is(collections, 1, 'with nothing new');
  const kept = Array.from({ length: 4 }, () => new Array(2 ** 20).fill(0.5));
  await collected(2);
  assert.is(kept.length, 4);
});

test.run();
