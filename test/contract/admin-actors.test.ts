// timeout: 120

import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assign } from 'xstate';
import { waitFor } from '../../src/cli/up/wait.ts';
import { loadConfig } from '../../src/config.ts';
import { createApi } from '../../src/http/app.ts';
import { amphoraMachine } from '../../src/machines/amphora.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import { hanging } from '../support/hanging.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests reach into answers of many shapes.
type Any = any;

const ACTORS = '/v2.0/amphorae/actors';

let runtime: Runtime;
let app: ReturnType<typeof createApi>;
test.before(async () => {
  runtime = await startRuntime();
  app = createApi({
    db: runtime.db,
    mailbox: runtime.mailbox,
    network: runtime.provider.network,
    config: loadConfig({}, {}),
    log: pino({ level: 'silent' }),
  });
});
test.after(() => runtime.stop());

async function call(status: number, method: string, path: string, body?: object): Promise<Any> {
  const response = await app.request(`${ACTORS}${path}`, {
    method,
    headers: { 'x-amphorae-operator': 'alice', ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  assert.is(response.status, status, `${method} ${path}: ${text}`);
  return text ? JSON.parse(text) : undefined;
}

const show = async (id: string) => (await call(200, 'GET', `/${id}`)).actor;

/** The actor, once it is as wanted. */
const until = (id: string, wanted: (actor: Any) => boolean): Promise<Any> =>
  waitFor('the actor to be as wanted', 10, async () => {
    const actor = await show(id);
    return wanted(actor) ? actor : undefined;
  });

const inject = (id: string, event: object, status = 200) => call(status, 'POST', `/${id}/events`, { event });

/** An action of any chart, so of no type in particular. */
const boom = assign(() => {
  throw new Error('boom');
}) as never;

test('actors are listed, filtered, shown with all that hangs on them, and their history told', async () => {
  const node = await runtime.startNode('shown', { effects: hanging('awaitAgent') });
  const id = await runtime.createLoadBalancer();
  const waiting = await until(id, ({ state }) => state === 'creating.awaitingAmphorae');
  assert.is(waiting.node, 'shown');
  assert.is(waiting.snapshot.value.creating, 'awaitingAmphorae');
  assert.ok(waiting.timers.some(({ name }: Any) => name.includes('createDeadline')));
  assert.equal(waiting.links.amphorae, waiting.snapshot.context.amphoraIds);

  const [amphoraId] = waiting.links.amphorae;
  const amphora = await until(amphoraId, ({ state }) => state === 'booting');
  assert.is(amphora.effects.awaitAgent.src, 'awaitAgent');
  assert.is(amphora.loadbalancer_id, id);

  const listed = async (query: string) =>
    (await call(200, 'GET', `?${query}`)).actors.map((actor: Any) => actor.id).sort();
  assert.equal(await listed('kind=amphora'), [amphoraId]);
  assert.equal(await listed('state=booting&node=shown&quarantined=false'), [amphoraId]);
  assert.equal(await listed(`partition=${waiting.partition}&sort_key=state_since`), [id, amphoraId].sort());
  assert.equal(await listed('node=other'), []);
  await call(400, 'GET', '?colour=red');

  const { events } = await call(200, 'GET', `/${id}/history?page_reverse=true&limit=2`);
  assert.equal(
    events.map(({ event, to_state }: Any) => [event.type, to_state]),
    [
      ['amphorae.start', 'creating.allocatingVip'],
      ['xstate.done.actor.allocateVip', 'creating.awaitingAmphorae'],
    ],
  );
  await call(404, 'GET', `/${randomUUID()}`);
  await call(404, 'GET', '/no-uuid');
  await node.close();
});

test('an injected event goes through the mailbox and is audited; an unknown one is refused with those known', async () => {
  const node = await runtime.startNode('injected');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);
  const { faultstring } = await inject(id, { type: 'EXPLODE' }, 400);
  assert.match(faultstring, /EXPLODE.*CHANGED.*DELETE/);
  assert.not.match(faultstring, /xstate|POISONED/);
  await inject(id, { type: 'DELETE', nested: { too: { deep: 1 } } }, 400);
  await inject(id, { type: 'DELETE', text: 'nul\0' }, 400);

  // There is no such revision to bring into force.
  await inject(id, { type: 'CHANGED', memberPorts: false, revision: 'newest' }, 400);
  const beyond = await inject(id, { type: 'CHANGED', memberPorts: false, revision: 7 });
  assert.is(beyond.message.event.revision, 1);
  const applied = await until(id, ({ state }) => state === 'ACTIVE');
  assert.is(applied.snapshot.context.desiredRevision, 1);

  const { message, outcome } = await inject(id, { type: 'DELETE' });
  assert.equal(message.event, { type: 'DELETE' });
  assert.equal(outcome, {
    ...{ from_state: 'ACTIVE', to_state: 'deleting.releasingAmphorae', handled: true, error: null },
  });
  const ended = await until(id, ({ done }) => done);
  assert.is(ended.state, 'DELETED');
  await inject(id, { type: 'DELETE' }, 409);
  await call(409, 'POST', `/${id}/resume`);

  const { audit } = await call(200, 'GET', `/audit?actor_id=${id}`);
  assert.equal(
    audit.map(({ operator, action, payload }: Any) => [operator, action, payload]),
    [
      ['alice', 'inject', { event: { type: 'CHANGED', memberPorts: false, revision: 7 } }],
      ['alice', 'inject', { event: { type: 'DELETE' } }],
    ],
  );
  await node.close();
});

test('a message that its chart cannot process becomes a dead letter, and its load balancer ERROR, still deletable', async () => {
  const node = await runtime.startNode('poisoned', {
    machines: (machines) => ({
      ...machines,
      'load-balancer': loadBalancerMachine.provide({ actions: { acceptChange: boom } }),
    }),
  });
  const [id, other] = [await runtime.createLoadBalancer(), await runtime.createLoadBalancer()];
  for (const each of [id, other]) await runtime.waitFor(each, ['ACTIVE']);
  const change = { type: 'CHANGED', revision: 1, memberPorts: false };
  const { outcome } = await inject(id, change);
  assert.equal([outcome.to_state, outcome.error], ['ERROR', 'Error: boom']);
  const failed = await until(id, ({ state }) => state === 'ERROR');
  assert.is(failed.snapshot.context.error.code, 'poisoned');
  assert.match(failed.snapshot.context.error.message, /CHANGED could not be processed: Error: boom/);
  assert.equal(failed.messages, []);
  assert.is(await runtime.waitFor(id, ['ERROR']), 'ERROR');

  const { dead_letters: letters } = await call(200, 'GET', `/dead-letters?actor_id=${id}`);
  assert.equal(
    letters.map(({ event, error }: Any) => [event, error]),
    [[change, 'Error: boom']],
  );
  await call(202, 'POST', `/dead-letters/${letters[0].id}/retry`);
  await call(404, 'POST', `/dead-letters/${letters[0].id}/retry`);

  await inject(id, { type: 'DELETE' });
  await until(id, ({ done }) => done);
  assert.is((await show(other)).state, 'ACTIVE');
  const { audit } = await call(200, 'GET', `/audit?actor_id=${id}&action=retry`);
  assert.equal(audit[0].payload, { event: change, error: 'Error: boom' });
  await node.close();
});

test('the result of an effect that poisons its amphora fails the step, and cannot be sent again', async () => {
  const node = await runtime.startNode('bad-result', {
    effects: (effects) => ({ ...effects, plugPorts: { ...effects.plugPorts, run: async () => null } }),
  });
  const id = await runtime.createLoadBalancer();
  assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ERROR');
  const { snapshot } = await show(id);
  assert.match(
    snapshot.context.error.message,
    /xstate.done.actor.plugPorts could not be processed: TypeError/,
  );

  const [amphoraId] = snapshot.context.amphoraIds;
  const { dead_letters: letters } = await call(200, 'GET', `/dead-letters?actor_id=${amphoraId}`);
  assert.is(letters.length, 1);
  await call(409, 'POST', `/dead-letters/${letters[0].id}/retry`);
  await call(204, 'DELETE', `/dead-letters/${letters[0].id}`);
  assert.equal((await call(200, 'GET', `/dead-letters?actor_id=${amphoraId}`)).dead_letters, []);
  await node.close();
});

test('a deadline that poisons its amphora fires once', async () => {
  const fail = assign((_: unknown, failure: { step: string }) => {
    if (failure.step === 'booting') throw new Error('boom');
    return { failure };
  }) as never;
  const node = await runtime.startNode('bad-deadline', {
    effects: hanging('awaitAgent'),
    machines: (machines) => ({
      ...machines,
      amphora: amphoraMachine.provide({ actions: { fail }, delays: { bootDeadline: 50 } }),
    }),
  });
  const id = await runtime.createLoadBalancer();
  assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ERROR');
  const { snapshot } = await show(id);
  const [amphoraId] = snapshot.context.amphoraIds;
  const amphora = await show(amphoraId);
  assert.is(amphora.state, 'DELETED');
  assert.equal(amphora.timers, []);
  const { dead_letters: letters } = await call(200, 'GET', `/dead-letters?actor_id=${amphoraId}`);
  assert.equal(
    letters.map(({ event }: Any) => event.type),
    ['xstate.after.bootDeadline.amphora.booting'],
  );
  await node.close();
});

test('an actor whose snapshot cannot be read is quarantined, keeps its messages, harms no other, and resumes', async () => {
  const first = await runtime.startNode('before');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);
  const { snapshot } = await show(id);
  await first.close();
  await storeSnapshot(id, { ...snapshot, value: 'LOST' });

  const node = await runtime.startNode('after');
  await inject(id, { type: 'AMPHORA_RELEASED', amphoraId: 'none' });
  const set = await until(id, ({ quarantined }) => quarantined);
  assert.match(set.quarantine_reason, /does not fit version \d+ .*LOST/);
  await inject(id, { type: 'DELETE' });
  await node.sweep();
  assert.is(await runtime.waitFor(await runtime.createLoadBalancer(), ['ACTIVE', 'ERROR']), 'ACTIVE');
  assert.equal(
    (await show(id)).messages.map(({ event }: Any) => event.type),
    ['AMPHORA_RELEASED', 'DELETE'],
  );
  assert.equal(
    (await call(200, 'GET', '?quarantined=true')).actors.map((actor: Any) => actor.id),
    [id],
  );

  // Still broken: a resume only finds that out again.
  const { outcome } = await call(200, 'POST', `/${id}/resume`);
  assert.match(outcome.error, /the actor is quarantined/);
  await until(id, ({ quarantined }) => quarantined);
  await storeSnapshot(id, snapshot);
  await call(200, 'POST', `/${id}/resume`);
  await until(id, ({ done }) => done);
  assert.equal((await call(200, 'GET', `/dead-letters?actor_id=${id}`)).dead_letters, []);
  const { audit } = await call(200, 'GET', `/audit?actor_id=${id}&action=resume`);
  assert.match(audit[0].payload.quarantined, /LOST/);
  await node.close();
});

test('an actor of a newer version that has effects to run waits for a newer process, and then runs them', async () => {
  const first = await runtime.startNode('new', { effects: hanging('awaitAgent') });
  const id = await runtime.createLoadBalancer();
  const { snapshot } = await until(id, ({ state }) => state === 'creating.awaitingAmphorae');
  const [amphoraId] = snapshot.context.amphoraIds;
  await until(amphoraId, ({ state }) => state === 'booting');
  await first.close();
  const version = async (machine_version: number) =>
    runtime.db.updateTable('actors').set({ machine_version }).where('id', '=', amphoraId).execute();
  await version(99);

  const node = await runtime.startNode('old');
  const set = await until(amphoraId, ({ quarantined }) => quarantined);
  assert.match(set.quarantine_reason, /written by version 99 of the amphora machine/);
  await version(1);
  await call(200, 'POST', `/${amphoraId}/resume`);
  assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE');
  const { events } = await call(200, 'GET', `/${amphoraId}/history?type=amphorae.resume`);
  assert.equal(events[0].actions, [{ started: 'awaitAgent' }]);
  await node.close();
});

test('a chart that cannot even take the news of its poisoning is quarantined with its message', async () => {
  const node = await runtime.startNode('hopeless', {
    machines: (machines) => ({
      ...machines,
      amphora: amphoraMachine.provide({ actions: { beginRound: boom, fail: boom } }),
    }),
  });
  const id = await runtime.createLoadBalancer();
  const [amphoraId] = (await until(id, ({ links }) => links.amphorae.length > 0)).links.amphorae;
  const set = await until(amphoraId, ({ quarantined }) => quarantined);
  assert.is(set.quarantine_reason, 'boom');
  assert.is(set.messages[0].event.type, 'SYNC');
  await node.close();
});

test('an operator who nobody answers in time is told so, and the message is taken later', async () => {
  const first = await runtime.startNode('gone');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);
  await first.close();
  const { message, outcome } = await inject(id, { type: 'DELETE' }, 202);
  assert.is(outcome, null);
  assert.equal(
    (await show(id)).messages.map((waiting: Any) => waiting.id),
    [message.id],
  );
  const node = await runtime.startNode('there');
  await until(id, ({ done }) => done);
  await node.close();
});

test('nobody from another host may see or move actors', async () => {
  const incoming = { socket: { remoteAddress: '198.51.100.9', localAddress: '198.51.100.1' } };
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/audit'],
    ['GET', '/dead-letters'],
    ['POST', `/${randomUUID()}/resume`],
    ['DELETE', `/dead-letters/${randomUUID()}`],
  ]) {
    const response = await app.request(`${ACTORS}${path}`, { method: method ?? '' }, { incoming });
    assert.is(response.status, 403, `${method} ${path}`);
  }
});

function storeSnapshot(id: string, snapshot: object): Promise<unknown> {
  return runtime.db
    .updateTable('actors')
    .set({ snapshot: JSON.stringify(snapshot) })
    .where('id', '=', id)
    .execute();
}

test.run();
