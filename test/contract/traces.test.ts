import { connect } from 'nats';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { askProgress, NatsTracer } from '../../src/actors/nats-tracer.ts';
import { natsOptions } from '../../src/actors/nats-url.ts';
import { ALL_TRACES, Trace } from '../../src/actors/trace.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { TransientError } from '../../src/model/errors.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

let runtime: Runtime;
const traces: Trace[] = [];
test.before(async () => {
  runtime = await startRuntime();
  runtime.nats.subscribe(ALL_TRACES, {
    callback: (_, message) => void traces.push(Trace.parse(message.json())),
  });
  await runtime.nats.flush();
});
test.after(() => runtime.stop());
test.before.each(() => void traces.splice(0));

const ofType = <T extends Trace['type']>(type: T, id: string) =>
  traces
    .filter((trace): trace is Extract<Trace, { type: T }> => 'id' in trace && trace.id === id)
    .filter((trace) => trace.type === type);

test('each commit of an actor is told once, in order, as its history has it', async () => {
  const node = await runtime.startNode('told');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);
  const history = await runtime.db
    .selectFrom('actor_events')
    .select(['actor_id', 'version', 'from_state', 'to_state', 'handled', 'node'])
    .where('actor_id', '=', id)
    .orderBy('version')
    .execute();
  await waitFor(
    'the last trace',
    5,
    async () => ofType('transition', id).length >= history.length || undefined,
  );
  assert.equal(
    ofType('transition', id).map((trace) => ({
      ...{ actor_id: trace.id, version: trace.version, from_state: trace.from, to_state: trace.to },
      ...{ handled: trace.handled, node: trace.node },
    })),
    history,
  );
  assert.equal(ofType('transition', id)[0]?.started, ['allocateVip']);
  await node.close();
});

test('another attempt is told, with what the one before failed of, and who asks learns how far the effect has come from the node that runs it', async () => {
  const gate = Promise.withResolvers<void>();
  let attempts = 0;
  const node = await runtime.startNode('trying', {
    effects: (effects) => ({
      ...effects,
      allocateVip: {
        retry: { attempts: 5, deadlineMs: 60_000, backoffMs: 1, maxBackoffMs: 1 },
        async run(input, context) {
          attempts += 1;
          if (attempts === 1) throw new TransientError('busy', 'come again');
          await gate.promise;
          return effects.allocateVip.run(input, context);
        },
      },
    }),
  });
  const id = await runtime.createLoadBalancer();
  const [again] = await waitFor('another attempt', 5, async () => {
    const found = ofType('attempt', id);
    return found.length > 0 ? found : undefined;
  });
  const error = { kind: 'transient', code: 'busy', message: 'come again' };
  assert.equal([again?.effect, again?.attempt, again?.error], ['allocateVip', 2, error]);

  const { partition } = await runtime.db
    .selectFrom('actors')
    .select('partition')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const ask = () => askProgress(runtime.nats, { kind: 'load-balancer', id, partition });
  const { allocateVip: progress } = await waitFor('the second attempt', 5, async () => {
    const all = await ask();
    return all?.allocateVip?.attempt === 2 ? all : undefined;
  });
  assert.equal([progress?.attempts, progress?.error], [5, error]);
  assert.ok((progress?.left_ms ?? 0) > 50_000 && (progress?.left_ms ?? 0) <= 60_000);
  gate.resolve();
  await runtime.waitFor(id, ['ACTIVE']);
  assert.equal(await ask(), {});
  await node.close();
  assert.is(await ask(), undefined);
});

test('who takes partitions over, or was cut off from the broker, says that traces may be missing', async () => {
  const node = await runtime.startNode('next');
  const told = (by: string) =>
    waitFor(`the word of ${by}`, 10, async () =>
      traces.find((trace) => trace.type === 'gap' && trace.node === by),
    );
  await told('next');
  await node.close();

  // Later than ours, so that we hear it.
  const slow = { ...natsOptions(runtime.broker.url), reconnectTimeWait: 500, reconnectJitter: 0 };
  const connection = await connect(slow);
  const tracer = new NatsTracer(connection, 'cut off', pino({ level: 'silent' }));
  await runtime.broker.restart(async () => tracer.publish({ type: 'gap' }));
  await told('cut off');
  assert.is(traces.filter((trace) => trace.node === 'cut off').length, 1);
  await connection.close();
});

test.run();
