// timeout: 240
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chaos } from './chaos.ts';

// The short version of `npm run chaos`: a seed of its own each time, named when it fails.

const seed = Date.now() % 1_000_000;

test(`three controllers, broker and database die and stall, and no promise is broken (seed ${seed})`, async () => {
  const said: string[] = [];
  const verdict = await chaos({
    provider: 'noop',
    seed,
    seconds: 25,
    balancers: 60,
    users: 6,
    say: (line) => said.push(line),
  });
  assert.equal(verdict.problems, [], [...said, ...verdict.problems].join('\n'));
  assert.ok(Object.values(verdict.faults).some((count) => count > 0));
});

test(`the same with real amphorae: nothing is left of the deleted, and the others do what was promised (seed ${seed})`, async () => {
  const said: string[] = [];
  const verdict = await chaos({
    provider: 'netns',
    seed,
    seconds: 20,
    balancers: 4,
    users: 2,
    say: (line) => said.push(line),
  });
  assert.equal(verdict.problems, [], [...said, ...verdict.problems].join('\n'));
});

test.run();
