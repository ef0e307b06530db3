import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type EffectResult, EffectRunner } from '../../src/actors/effect-runner.ts';
import type { RunningEffect } from '../../src/actors/interpreter.ts';
import type { Effect, Effects } from '../../src/machines/effects.ts';
import type { EffectContext, RetryPolicy } from '../../src/model/effect.ts';
import { TerminalError, TransientError } from '../../src/model/errors.ts';
import { Random } from '../simulation/random.ts';
import { SimulatedProcess } from '../simulation/simulated-process.ts';
import { VirtualTime } from '../simulation/virtual-time.ts';

const once = { attempts: 1, deadlineMs: 60_000, backoffMs: 100, maxBackoffMs: 100 };

/** A runner on virtual time whose effects do as `run` says; `results` are by the id of the actor. */
function open(run: Effect['run'], concurrency = { node: 1, provider: 1 }, retry: RetryPolicy = once) {
  const time = new VirtualTime();
  const { clock } = new SimulatedProcess('node', time, new Random(1));
  const effect: Effect = { run, retry, callsProvider: true };
  const runner = new EffectRunner({ placeServer: effect } as Effects, clock, concurrency);
  const results = new Map<string, EffectResult>();
  const start = (id: string, partition = 0) => {
    const actor = { kind: 'amphora', id, partition } as const;
    const running: RunningEffect = { src: 'placeServer', input: { id }, token: 1 };
    runner.start(actor, 'placeServer', running, 1, (result) => results.set(id, result));
    return actor;
  };
  return { runner, results, start, now: () => time.now, pass: (ms: number) => time.run(() => false, ms) };
}

const deafTo = (id: string) => (input: never) =>
  (input as { id: string }).id === id ? new Promise<never>(() => {}) : Promise.resolve('done');

test('an effect that does not hear that it is cancelled gives its slots to the others after a while', async () => {
  const { runner, results, start, pass } = open(deafTo('deaf'));
  const deaf = start('deaf');
  start('other');
  await pass(1_000);
  assert.is(results.has('other'), false);
  runner.stop(deaf, 'placeServer');
  await pass(1_000);
  assert.is(results.has('other'), false);
  await pass(5_000);
  assert.equal(results.get('other'), { output: 'done' });
});

test('an effect that fails for a while is tried again after pauses that double, each a little different', async () => {
  const begun: number[] = [];
  const retry = { attempts: 6, deadlineMs: 60_000, backoffMs: 1_000, maxBackoffMs: 8_000 };
  const { results, start, now, pass } = open(
    () => {
      begun.push(now());
      throw new TransientError('away', 'not yet');
    },
    undefined,
    retry,
  );
  start('a');
  await pass(60_000);
  const shares = begun.slice(1).map((at, index) => {
    const longest = Math.min(1_000 * 2 ** index, 8_000);
    return (at - (begun[index] ?? 0)) / longest;
  });
  assert.is(shares.length, 5);
  assert.ok(
    shares.every((share) => share >= 0.5 && share <= 1.01),
    String(shares),
  );
  assert.ok(new Set(shares.map((share) => share.toFixed(3))).size > 1, String(shares));
  assert.equal(results.get('a'), { error: { kind: 'transient', code: 'away', message: 'not yet' } });
});

test('what can never succeed is not tried again, and when time is over the last failure is said', async () => {
  let calls = 0;
  const refused = open(() => {
    calls += 1;
    throw new TerminalError('refused', 'never');
  });
  refused.start('a');
  await refused.pass(60_000);
  assert.is(calls, 1);
  assert.equal(refused.results.get('a'), { error: { kind: 'terminal', code: 'refused', message: 'never' } });

  const patient = {
    attempts: Number.POSITIVE_INFINITY,
    deadlineMs: 5_000,
    backoffMs: 100,
    maxBackoffMs: 100,
  };
  const late = open(() => Promise.reject(new TransientError('away', 'not yet')), undefined, patient);
  late.start('a');
  await late.pass(4_900);
  assert.is(late.results.size, 0);
  await late.pass(200);
  const message = 'placeServer was not done within 5 s; last: not yet';
  assert.equal(late.results.get('a'), { error: { kind: 'transient', code: 'away', message } });
});

test('a node may call a provider less often at once than it may do other things', async () => {
  let running = 0;
  const { runner, start, pass } = open(
    () => {
      running += 1;
      return new Promise(() => {});
    },
    { node: 5, provider: 2 },
  );
  for (const id of ['a', 'b', 'c', 'd']) start(id);
  await pass(100);
  assert.is(running, 2);
  runner.limitProviderCalls(3);
  await pass(100);
  assert.is(running, 3);
});

test('all effects of a partition are stopped with it, and those of others go on', async () => {
  const signals = new Map<string, AbortSignal>();
  const { runner, start, pass } = open(
    (input: never, { signal }: EffectContext) => {
      signals.set((input as { id: string }).id, signal);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
    { node: 5, provider: 5 },
  );
  start('mine', 3);
  start('also mine', 3);
  start('another', 4);
  await pass(100);
  await runner.stopPartition(3);
  assert.equal(
    ['mine', 'also mine', 'another'].map((id) => signals.get(id)?.aborted),
    [true, true, false],
  );
});

test('how far an effect has come is known while it runs, and not longer', async () => {
  const { runner, start, pass } = open(deafTo('first'));
  const [first, second] = [start('first'), start('second')];
  await pass(1_000);
  const begun = { attempts: 1, error: null };
  assert.equal(runner.progress(first), { placeServer: { attempt: 1, left_ms: 59_000, ...begun } });
  // It waits for the slot of the first.
  assert.equal(runner.progress(second), { placeServer: { attempt: 1, left_ms: 59_000, ...begun } });
  runner.stop(first, 'placeServer');
  await pass(10_000);
  assert.equal([runner.progress(first), runner.progress(second)], [{}, {}]);
});

test.run();
