// timeout: 180

import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { partitionOf } from '../../src/machines/address.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { rethrow } from '../../src/store/database-errors.ts';
import { hanging } from '../support/hanging.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

let runtime: Runtime;
test.before(async () => {
  runtime = await startRuntime();
});
test.after(() => runtime.stop());

const settled = ['ACTIVE', 'ERROR'];

test('a stored load balancer becomes ACTIVE, and everything below it', async () => {
  const node = await runtime.startNode('plain');
  const id = await runtime.createLoadBalancer({ listeners: 2 });
  assert.is(await runtime.waitFor(id, settled), 'ACTIVE');
  const listeners = await runtime.db
    .selectFrom('listeners')
    .select('provisioning_status')
    .where('load_balancer_id', '=', id)
    .execute();
  assert.equal(
    listeners.map((each) => each.provisioning_status),
    ['ACTIVE', 'ACTIVE'],
  );
  const amphora = await amphoraOf(id);
  assert.is(amphora.status, 'ALLOCATED');
  assert.is(runtime.provider.amphora(amphora.id)?.securityGroup?.rules.length, 2);
  await node.close();
});

test('messages that NATS never carried are found by the sweep', async () => {
  const id = await runtime.createLoadBalancer();
  const node = await runtime.startNode('late');
  assert.is(await runtime.waitFor(id, settled), 'ACTIVE');
  await node.close();
});

test('a message that is carried twice is processed once', async () => {
  const node = await runtime.startNode('twice');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, settled);
  const address = { kind: 'load-balancer', id, loadBalancerId: id } as const;
  const envelope = await runtime.db
    .transaction()
    .execute((transaction) => runtime.mailbox.send(transaction, address, { type: 'UNKNOWN' }));
  runtime.mailbox.publish(envelope, envelope);
  runtime.mailbox.publish(envelope);
  await eventually(async () => (await eventsOf(id)).some((event) => event.type === 'UNKNOWN'));
  // Another message, to be sure that the duplicates had their turn.
  const last = await runtime.db
    .transaction()
    .execute((transaction) => runtime.mailbox.send(transaction, address, { type: 'LAST' }));
  runtime.mailbox.publish(envelope, last);
  await eventually(async () => (await eventsOf(id)).some((event) => event.type === 'LAST'));
  assert.is((await eventsOf(id)).filter((event) => event.type === 'UNKNOWN').length, 1);
  await node.close();
});

test('messages of one actor are processed in the order in which they were stored', async () => {
  const node = await runtime.startNode('ordered');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, settled);
  const address = { kind: 'load-balancer', id, loadBalancerId: id } as const;
  const envelopes = [];
  for (let index = 0; index < 20; index += 1) {
    envelopes.push(
      await runtime.db
        .transaction()
        .execute((transaction) => runtime.mailbox.send(transaction, address, { type: `N${index}` })),
    );
  }
  runtime.mailbox.publish(...envelopes.reverse());
  await eventually(async () => (await eventsOf(id)).filter((event) => /^N\d/.test(event.type)).length === 20);
  const order = (await eventsOf(id)).map((event) => event.type).filter((type) => /^N\d/.test(type));
  assert.equal(
    order,
    Array.from({ length: 20 }, (_, index) => `N${index}`),
  );
  await node.close();
});

test('what a node leaves unfinished, the next one finishes', async () => {
  const stuck = await runtime.startNode('hanging', { effects: hanging('pushConfig') });
  const id = await runtime.createLoadBalancer();
  await eventually(async () => (await stateOf('amphora', (await amphoraOf(id)).id)) === 'configSync');
  await stuck.close();
  const node = await runtime.startNode('finishing');
  assert.is(await runtime.waitFor(id, settled), 'ACTIVE');
  await node.close();
});

test('a node whose partition went to another writes nothing, and its agent calls are refused', async () => {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const old = await runtime.startNode('old', {
    effects: (effects) => ({
      ...effects,
      pushConfig: {
        ...effects.pushConfig,
        // Deaf to its cancellation, like a process that is stopped in the middle of a call.
        run: async (input, context) => {
          await released;
          return effects.pushConfig.run(input, context);
        },
      },
    }),
  });
  const id = await runtime.createLoadBalancer();
  const amphora = await (async () => {
    await eventually(async () => (await stateOf('amphora', (await amphoraOf(id)).id)) === 'configSync');
    return amphoraOf(id);
  })();
  // The lease is taken away behind its back, for one of the other's: both have their share.
  const next = await runtime.startNode('next');
  await eventually(async () => (await partitionsOf('next')) === 32);
  await sql`UPDATE partitions SET owner = CASE owner WHEN 'old' THEN 'next' ELSE 'old' END, epoch = epoch + 1
    WHERE (SELECT owner FROM partitions WHERE id = ${partitionOf(id)}) = 'old'
      AND id IN (${partitionOf(id)}, (SELECT min(id) FROM partitions WHERE owner = 'next'))`.execute(
    runtime.db,
  );
  assert.is(await runtime.waitFor(id, settled), 'ACTIVE');
  const before = await versionOf('amphora', amphora.id);
  release();
  await runtime.db.deleteFrom('nodes').where('id', '=', 'old').execute();
  await old.close();
  assert.is(await versionOf('amphora', amphora.id), before);
  assert.is((await writers(amphora.id)).at(-1), 'next');
  await next.close();
});

test('a deadline of a chart holds over the death of the node that armed it', async () => {
  const first = await runtime.startNode('arming', { effects: hanging('awaitAgent') });
  const id = await runtime.createLoadBalancer();
  await eventually(async () => (await stateOf('amphora', (await amphoraOf(id)).id)) === 'booting');
  await first.close();
  await runtime.db
    .updateTable('timers')
    .set({ due_at: new Date() })
    .where('name', 'like', '%booting%')
    .execute();
  const second = await runtime.startNode('firing', { effects: hanging('awaitAgent') });
  assert.is(await runtime.waitFor(id, settled), 'ERROR');
  await second.close();
});

test('no host: the load balancer ends in ERROR with the reason, and nothing is left', async () => {
  const node = await runtime.startNode('placement');
  runtime.provider.failures.set(['createServer:placement']);
  const id = await runtime.createLoadBalancer();
  assert.is(await runtime.waitFor(id, settled), 'ERROR');
  runtime.provider.failures.set([]);
  const row = await runtime.db
    .selectFrom('load_balancers')
    .select(['error_code', 'vip_port_id'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  assert.ok(row.error_code);
  assert.is(row.vip_port_id, null);
  const amphorae = await runtime.db
    .selectFrom('amphorae')
    .select('id')
    .where('load_balancer_id', '=', id)
    .execute();
  assert.equal(amphorae, []);
  await node.close();
});

test('an outage of the database that lasts longer than all tries of an effect fails no load balancer', async () => {
  let triesLeft = 8;
  const node = await runtime.startNode('patient', {
    effects: (effects) => ({
      ...effects,
      placeServer: {
        retry: { ...effects.placeServer.retry, attempts: 2, backoffMs: 1, maxBackoffMs: 5 },
        run: (input, context) => {
          triesLeft -= 1;
          if (triesLeft > 0) rethrow(Object.assign(new Error('connect ENOENT'), { code: 'ENOENT' }));
          return effects.placeServer.run(input, context);
        },
      },
    }),
  });
  const id = await runtime.createLoadBalancer();
  assert.is(await runtime.waitFor(id, settled), 'ACTIVE');
  await node.close();
});

test('two nodes share the partitions, and one that goes hands its share over', async () => {
  const left = await runtime.startNode('left');
  const right = await runtime.startNode('right');
  await eventually(async () => (await partitionsOf('right')) === 32 && (await partitionsOf('left')) === 32);
  await left.close();
  const ids = await Promise.all(Array.from({ length: 4 }, () => runtime.createLoadBalancer()));
  for (const id of ids) assert.is(await runtime.waitFor(id, settled), 'ACTIVE');
  await right.close();
});

for (const [direction, seconds] of [
  ['forward', 3_600],
  ['back', -3_600],
] as const) {
  test(`a database whose clock is set ${direction} by an hour loses nothing, and the next work goes on as ever`, async () => {
    const [one, two] = [await runtime.startNode('early'), await runtime.startNode('late')];
    await eventually(async () => (await partitionsOf('early')) === 32 && (await partitionsOf('late')) === 32);
    const ids = await Promise.all(Array.from({ length: 8 }, () => runtime.createLoadBalancer()));
    // Nobody may set the clock of this host: what is stored moves the other way.
    const back = sql`${-seconds} * interval '1 second'`;
    await sql`UPDATE partitions SET lease_until = lease_until + ${back}`.execute(runtime.db);
    await sql`UPDATE nodes SET seen_at = seen_at + ${back}`.execute(runtime.db);
    await sql`UPDATE timers SET due_at = due_at + ${back}`.execute(runtime.db);
    // Deadlines that have come early end in ERROR, with everything given back.
    for (const id of ids) assert.ok(settled.includes(await runtime.waitFor(id, settled)));
    const next = await runtime.createLoadBalancer();
    assert.is(await runtime.waitFor(next, settled), 'ACTIVE');
    await eventually(async () => (await partitionsOf('early')) === 32 && (await partitionsOf('late')) === 32);
    await one.close();
    await two.close();
  });
}

test('all nodes together make no more calls to the provider at once than they may', async () => {
  let running = 0;
  let most = 0;
  const counted = (effects: Effects): Effects => ({
    ...effects,
    placeServer: {
      ...effects.placeServer,
      run: async (input, context) => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 100));
        running -= 1;
        return effects.placeServer.run(input, context);
      },
    },
  });
  const options = { effects: counted, config: { provider_concurrency: 4 } };
  const [one, two] = [await runtime.startNode('one', options), await runtime.startNode('two', options)];
  await eventually(async () => (await partitionsOf('one')) === 32 && (await partitionsOf('two')) === 32);
  const ids = await Promise.all(Array.from({ length: 24 }, () => runtime.createLoadBalancer()));
  for (const id of ids) assert.is(await runtime.waitFor(id, settled), 'ACTIVE');
  assert.ok(most > 1 && most <= 4, `${most} at once`);
  await one.close();
  await two.close();
});

test('a message for an actor that does not exist is set aside, not tried for ever', async () => {
  const node = await runtime.startNode('undertaker');
  const id = randomUUID();
  const envelope = await runtime.db
    .transaction()
    .execute((transaction) =>
      runtime.mailbox.send(
        transaction,
        { kind: 'load-balancer', id, loadBalancerId: id },
        { type: 'DELETE' },
      ),
    );
  runtime.mailbox.publish(envelope);
  await eventually(async () => {
    const letter = await runtime.db
      .selectFrom('dead_letters')
      .select('id')
      .where('actor_id', '=', id)
      .executeTakeFirst();
    return letter !== undefined;
  });
  await node.close();
});

async function eventsOf(id: string): Promise<{ type: string }[]> {
  const rows = await runtime.db
    .selectFrom('actor_events')
    .select('event')
    .where('actor_id', '=', id)
    .orderBy('version')
    .execute();
  return rows.map(({ event }) => event as { type: string });
}

async function writers(id: string): Promise<string[]> {
  const rows = await runtime.db
    .selectFrom('actor_events')
    .select('node')
    .where('actor_id', '=', id)
    .orderBy('version')
    .execute();
  return rows.map(({ node }) => node);
}

async function amphoraOf(loadBalancerId: string) {
  await eventually(async () => {
    const rows = await runtime.db
      .selectFrom('amphorae')
      .select('id')
      .where('load_balancer_id', '=', loadBalancerId)
      .execute();
    return rows.length > 0;
  });
  return runtime.db
    .selectFrom('amphorae')
    .select(['id', 'status'])
    .where('load_balancer_id', '=', loadBalancerId)
    .executeTakeFirstOrThrow();
}

async function stateOf(kind: string, id: string): Promise<string | undefined> {
  const row = await runtime.db
    .selectFrom('actors')
    .select('state')
    .where('kind', '=', kind)
    .where('id', '=', id)
    .executeTakeFirst();
  return row?.state;
}

async function versionOf(kind: string, id: string): Promise<number | undefined> {
  const row = await runtime.db
    .selectFrom('actors')
    .select('version')
    .where('kind', '=', kind)
    .where('id', '=', id)
    .executeTakeFirst();
  return row?.version;
}

async function partitionsOf(node: string): Promise<number> {
  const rows = await runtime.db.selectFrom('partitions').select('id').where('owner', '=', node).execute();
  return rows.length;
}

async function eventually(condition: () => Promise<boolean>, ms = 10_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test.run();
