import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TransientError } from '../../src/model/errors.ts';
import { Batches } from '../../src/store/batches.ts';

/** Batches of numbers, by their tens, whose answers the test gives. */
function open(options: { atOnce: number; size: number }) {
  const sent: { items: number[]; answer: PromiseWithResolvers<void> }[] = [];
  const batches = new Batches<number, string>(
    { ...options, keyOf: (item) => Math.floor(item / 10) },
    async (items) => {
      const answer = Promise.withResolvers<void>();
      sent.push({ items, answer });
      await answer.promise;
      return items.map((item) => `done ${item}`);
    },
  );
  /** Let the `index`th batch end, and wait until whatever follows from it has happened. */
  const end = async (index: number, error?: Error) => {
    if (error) sent[index]?.answer.reject(error);
    else sent[index]?.answer.resolve();
    await new Promise(setImmediate);
  };
  return { batches, end, sent: () => sent.map(({ items }) => items) };
}

test('what comes alone goes at once, what comes meanwhile goes together', async () => {
  const { batches, sent, end } = open({ atOnce: 1, size: 3 });
  const first = batches.add(10);
  const others = [20, 30, 40, 50].map((item) => batches.add(item));
  assert.equal(sent(), [[10]]);
  await end(0);
  assert.equal(sent(), [[10], [20, 30, 40]]);
  await end(1);
  assert.equal(sent(), [[10], [20, 30, 40], [50]]);
  await end(2);
  assert.is(await first, 'done 10');
  assert.equal(await Promise.all(others), ['done 20', 'done 30', 'done 40', 'done 50']);
});

test('items with the same key go one after the other, in their order', async () => {
  const { batches, sent, end } = open({ atOnce: 2, size: 9 });
  const all = [10, 11, 20, 12].map((item) => batches.add(item));
  assert.equal(sent(), [[10], [20]]);
  await end(1);
  assert.equal(sent(), [[10], [20]]);
  await end(0);
  await end(2);
  assert.equal(sent(), [[10], [20], [11], [12]]);
  await end(3);
  assert.equal(await Promise.all(all), ['done 10', 'done 11', 'done 20', 'done 12']);
});

test('a failure that is the fault of one item is not the others’', async () => {
  const { batches, sent, end } = open({ atOnce: 1, size: 9 });
  const first = batches.add(10);
  const good = batches.add(20);
  const bad = batches.add(30).then(String, String);
  await end(0);
  await first;
  await end(1, new Error('a value is out of range'));
  await end(2);
  await end(3, new Error('a value is out of range'));
  assert.equal(sent(), [[10], [20, 30], [20], [30]]);
  assert.is(await good, 'done 20');
  assert.match(await bad, 'out of range');
});

test('a failure that passes is everyone’s: it may have been done', async () => {
  const { batches, sent, end } = open({ atOnce: 1, size: 9 });
  const first = batches.add(10);
  const others = [20, 30].map((item) => batches.add(item).then(String, String));
  await end(0);
  await first;
  await end(1, new TransientError('database_unavailable', 'the database went away'));
  assert.equal(sent(), [[10], [20, 30]]);
  for (const other of others) assert.match(await other, 'went away');
});

test.run();
