import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Slots } from '../../src/actors/slots.ts';

/** Tasks that run until they are told to end. */
function taskIn(slots: Slots, signal?: AbortSignal) {
  const task = { runs: false, end: () => {}, done: Promise.resolve() };
  task.done = slots.use(() => {
    task.runs = true;
    return new Promise<void>((resolve) => {
      task.end = resolve;
    });
  }, signal);
  return task;
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

test('no more tasks run at once than there are slots; the others follow in line', async () => {
  const slots = new Slots(2);
  const tasks = [taskIn(slots), taskIn(slots), taskIn(slots), taskIn(slots)] as const;
  await tick();
  assert.equal(
    tasks.map(({ runs }) => runs),
    [true, true, false, false],
  );
  tasks[1].end();
  await tick();
  assert.equal(
    tasks.map(({ runs }) => runs),
    [true, true, true, false],
  );
});

test('fewer slots stop nobody and let nobody in until there is room; more let the next in', async () => {
  const slots = new Slots(2);
  const tasks = [taskIn(slots), taskIn(slots), taskIn(slots), taskIn(slots)] as const;
  slots.resize(1);
  tasks[0].end();
  await tick();
  assert.is(tasks[2].runs, false);
  slots.resize(3);
  await tick();
  assert.equal([tasks[2].runs, tasks[3].runs], [true, true]);
});

test('a task that is cancelled while it waits leaves the line, and a failed one its slot', async () => {
  const slots = new Slots(1);
  const failing = slots.use(async () => {
    throw new Error('boom');
  });
  const cancelled = new AbortController();
  const gone = taskIn(slots, cancelled.signal);
  const next = taskIn(slots);
  cancelled.abort(new Error('not needed any more'));
  const failure = (work: Promise<unknown>) =>
    work.then(
      () => 'none',
      (error: Error) => error.message,
    );
  assert.equal(await Promise.all([failing, gone.done].map(failure)), ['boom', 'not needed any more']);
  await tick();
  assert.equal([gone.runs, next.runs], [false, true]);
});

test.run();
