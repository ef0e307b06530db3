// timeout: 120

import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ActorEvent } from '../../src/actors/interpreter.ts';
import { RESUME } from '../../src/actors/mailbox.ts';
import type { ActorKind } from '../../src/machines/address.ts';
import { amphoraMachine } from '../../src/machines/amphora.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import { newestEvents } from '../../src/store/actor-history.ts';
import { type RecordedEvent, replay } from '../../src/visualizer/replay.ts';
import { statechartOf } from '../../src/visualizer/statechart.ts';
import { transitionsTaken } from '../../src/visualizer/taken.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

// Histories that the runtime itself recorded, of actors that lived, failed, were replaced and died.

const machines = { 'load-balancer': loadBalancerMachine, amphora: amphoraMachine };

let runtime: Runtime;
let histories: History[];

interface History {
  kind: ActorKind;
  actor: { id: string; input: object; version: number; snapshot: object | null };
  recorded: RecordedEvent[];
  handled: boolean[];
}

test.before(async () => {
  runtime = await startRuntime();
  await runtime.startNode('recorder');
  const served = await runtime.createLoadBalancer();
  const pair = await runtime.createLoadBalancer({ topology: 'ACTIVE_STANDBY', listeners: 2 });
  for (const id of [served, pair]) assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE');
  runtime.provider.failures.set(['createServer:placement']);
  const unplaced = await runtime.createLoadBalancer();
  assert.is(await runtime.waitFor(unplaced, ['ACTIVE', 'ERROR']), 'ERROR');
  runtime.provider.failures.set([]);

  await runtime.db
    .updateTable('load_balancers')
    .set({ desired_revision: 2 })
    .where('id', '=', pair)
    .execute();
  await tell(pair, { type: 'CHANGED', revision: 2, memberPorts: true });
  const [old] = await runtime.db
    .selectFrom('amphorae')
    .select('id')
    .where('load_balancer_id', '=', pair)
    .execute();
  await tell(pair, {
    type: 'FAILOVER',
    replacements: [{ oldId: old?.id, newId: randomUUID(), role: 'MASTER' }],
  });
  await tell(pair, RESUME);
  await tell(unplaced, { type: 'NOBODY_KNOWS_THIS' });
  for (const id of [unplaced, served]) await tell(id, { type: 'DELETE' });
  await runtime.waitFor(served, ['DELETED']);
  await runtime.waitFor(unplaced, ['DELETED']);
  await atRest();
  histories = await readHistories();
});
test.after(() => runtime.stop());

test('the machine does again what it did, state by state, and ends with what the actor remembers', async () => {
  assert.ok(histories.length >= 7);
  for (const { kind, actor, recorded } of histories) {
    const { steps, problem } = await replay(machines[kind], actor, recorded);
    assert.is(problem, undefined);
    assert.equal(
      steps.map(({ from, to }) => [from, to]),
      recorded.map(({ from, to }) => [from, to]),
    );
    assert.ok(steps.every(({ context, differences }) => context && differences));
  }
});

test('the differences of a step are what the event told the actor', async () => {
  const failed = histories.find(({ recorded }) => recorded.some(({ to }) => to === 'placementFailure'));
  assert.ok(failed);
  const { steps } = await replay(machines.amphora, failed.actor, failed.recorded);
  const differences = steps.find(({ to }) => to === 'placementFailure')?.differences;
  assert.equal(
    differences?.map(({ path, before }) => [path, before]),
    [['failure', null]],
  );
  assert.match(JSON.stringify(differences), 'placement');
});

test('every event that a machine knew lights the transitions that lead to where the actor went', () => {
  for (const { kind, recorded, handled } of histories) {
    const chart = statechartOf(machines[kind]);
    recorded.forEach(({ event, from, to }, index) => {
      const keys = transitionsTaken(chart, { event: event.type, from, to });
      const expected = handled[index] && from !== '' && event.type !== RESUME.type;
      assert.is(keys.length > 0, expected, `${kind}: ${from} -${event.type}-> ${to}: ${keys}`);
    });
  }
});

test('a history whose beginning was removed shows what was recorded, and says why', async () => {
  for (const { kind, actor, recorded } of histories) {
    const { steps, problem } = await replay(machines[kind], actor, recorded.slice(1));
    assert.match(problem ?? '', /no longer kept/);
    assert.equal(
      steps.map(({ version, to, context }) => [version, to, context]),
      recorded.slice(1).map(({ version, to }) => [version, to, undefined]),
    );
  }
});

test('a history that another version of the machine wrote is right, from where they part', async () => {
  const [history] = histories;
  assert.ok(history);
  const changed = history.recorded.map((event) =>
    event.version === 3 ? { ...event, to: 'ELSEWHERE' } : event,
  );
  const { steps, problem } = await replay(machines[history.kind], history.actor, changed);
  assert.match(problem ?? '', /^At version 3 today's machine goes .* to ELSEWHERE/);
  assert.is(steps[2]?.to, 'ELSEWHERE');
  assert.equal(
    steps.map(({ context }) => context !== undefined),
    changed.map(({ version }) => version < 3),
  );
});

test('an actor that remembers something else than the replay is not passed off as replayed', async () => {
  const [history] = histories;
  assert.ok(history);
  const { context } = history.actor.snapshot as { context: object };
  const actor = { ...history.actor, snapshot: { context: { ...context, round: -1 } } };
  const { problem } = await replay(machines[history.kind], actor, history.recorded);
  assert.match(problem ?? '', /round is not what the actor has/);
});

async function tell(loadBalancerId: string, event: ActorEvent): Promise<void> {
  const { mailbox, db } = runtime;
  const address = { kind: 'load-balancer', id: loadBalancerId, loadBalancerId } as const;
  const { reply } = await mailbox.ask(
    (replyTo) =>
      db.transaction().execute((transaction) => mailbox.send(transaction, address, event, replyTo)),
    10_000,
  );
  assert.ok(reply);
  if (event.type === 'CHANGED' || event.type === 'FAILOVER') await atRest();
}

/** Nobody has anything to do: no message waits, no effect runs. */
async function atRest(): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const { rows } = await sql<{ kind: string; id: string }>`
      select actor_kind as kind, actor_id as id from messages
      union all select kind, id from actors where effects <> '{}' and not done`.execute(runtime.db);
    if (rows.length === 0) return;
    assert.ok(Date.now() < deadline, `busy: ${JSON.stringify(rows)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function readHistories(): Promise<History[]> {
  const actors = await runtime.db
    .selectFrom('actors')
    .selectAll()
    .$narrowType<{ kind: ActorKind }>()
    .execute();
  return Promise.all(
    actors.map(async ({ kind, ...actor }) => {
      const rows = await newestEvents(runtime.db, { kind, id: actor.id }, 1_000);
      return {
        kind,
        actor,
        recorded: rows.map(({ version, event, from_state: from, to_state: to }) => ({
          version,
          event: event as RecordedEvent['event'],
          from,
          to,
        })),
        handled: rows.map(({ handled }) => handled),
      };
    }),
  );
}

test.run();
