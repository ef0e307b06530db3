import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Node } from '../../src/actors/node.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { loadConfig } from '../../src/config.ts';
import { memberPortName, memberPortPrefix } from '../../src/effects/names.ts';
import { createApi } from '../../src/http/app.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { TerminalError } from '../../src/model/errors.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

// The API with `api_mutations: queue`, and the actors behind it.

interface MemberAnswer {
  id: string;
  provisioning_status: string;
  provisioning_error: { code: string } | null;
}
type Answer = Record<string, { id: string; provisioning_status: string }>;

let runtime: Runtime;
let app: ReturnType<typeof createApi>;
let node: Node;
/** Configurations pushed so far. */
let pushes = 0;
/** Pushes wait for it. */
let gate: Promise<void> | undefined;
/** How many of the next pushes fail. */
let failures = 0;

test.before(async () => {
  runtime = await startRuntime();
  const { db, mailbox, provider } = runtime;
  const config = { ...loadConfig({}, {}), api_mutations: 'queue' as const };
  app = createApi({ db, mailbox, network: provider.network, config, log: pino({ level: 'silent' }) });
  node = await runtime.startNode('queue', { effects: watched });
});
test.after(() => runtime.stop());
test.before.each(() => {
  pushes = 0;
  gate = undefined;
  failures = 0;
});

test('ten members in a row, without waiting, end ACTIVE with fewer pushes than changes', async () => {
  const { loadBalancerId, poolId } = await create();
  pushes = 0;
  for (let number = 1; number <= 10; number += 1) await addMember(poolId, number);
  assert.is(await runtime.waitFor(loadBalancerId, ['ACTIVE', 'ERROR']), 'ACTIVE');
  assert.equal(await statuses('members', loadBalancerId), Array(10).fill('ACTIVE'));
  assert.equal(await statuses('pools', loadBalancerId), ['ACTIVE']);
  assert.equal(await revisions(loadBalancerId), { desired_revision: 11, applied_revision: 11 });
  assert.ok(pushes < 10, `${pushes} pushes`);
});

test('changes at the same time and of all kinds neither fail nor get stuck', async () => {
  const { loadBalancerId, poolId } = await create();
  await Promise.all(
    Array.from({ length: 30 }, async (_, number) => {
      if (number % 10 === 0) {
        await send(200, 'PUT', `loadbalancers/${loadBalancerId}`, { loadbalancer: { name: `${number}` } });
        return;
      }
      const { member } = await addMember(poolId, number, { subnet_id: subnets[number % 3] });
      const path = `pools/${poolId}/members/${member?.id}`;
      if (number % 3 === 0) await send(200, 'PUT', path, { member: { weight: number } });
      if (number % 4 === 0) await send(204, 'DELETE', path);
    }),
  );
  assert.is(await runtime.waitFor(loadBalancerId, ['ACTIVE', 'ERROR']), 'ACTIVE');
  const members = await statuses('members', loadBalancerId);
  assert.equal(members, Array(members.length).fill('ACTIVE'));
  assert.is(members.length, 27 - 6);
  assert.is(await deadlocks(), 0);
});

test('a change that fails takes none with it that waits', async () => {
  const { loadBalancerId, poolId } = await create();
  const open = hold();
  failures = 1;
  const bad = await addMember(poolId, 1);
  await waitFor('the push to begin', 5, () => (pushes > 1 ? true : undefined));
  const good = await addMember(poolId, 2);
  await messagesTaken(loadBalancerId);
  open();
  assert.is(await runtime.waitFor(loadBalancerId, ['ACTIVE', 'ERROR']), 'ACTIVE');
  assert.is(await memberStatus(bad), 'ERROR');
  assert.is(await memberStatus(good), 'ACTIVE');
});

test('of two vNIC types in one network the later ends in ERROR with the reason, and the port stays', async () => {
  const { loadBalancerId, poolId } = await create();
  const [subnet_id] = subnets;
  const first = await addMember(poolId, 1, { subnet_id });
  await runtime.waitFor(loadBalancerId, ['ACTIVE']);
  const before = await memberPorts(loadBalancerId);
  const open = hold();
  await send(200, 'PUT', `loadbalancers/${loadBalancerId}`, { loadbalancer: { name: 'held' } });
  const late = await addMember(poolId, 2, { subnet_id });
  // The API refuses it; this is how it would look to the actor if it had not.
  await runtime.db
    .updateTable('members')
    .set({ vnic_type: 'direct' })
    .where('id', '=', late.member?.id ?? '')
    .execute();
  open();
  assert.is(await runtime.waitFor(loadBalancerId, ['ACTIVE', 'ERROR']), 'ACTIVE');
  const { members } = (await send(200, 'GET', `pools/${poolId}/members`)) as { members: MemberAnswer[] };
  const shown = new Map(members.map((member) => [member.id, member]));
  assert.is(shown.get(first.member?.id ?? '')?.provisioning_status, 'ACTIVE');
  const { provisioning_status, provisioning_error } = shown.get(late.member?.id ?? '') as MemberAnswer;
  assert.equal([provisioning_status, provisioning_error?.code], ['ERROR', 'vnic_type_conflict']);
  assert.equal(await memberPorts(loadBalancerId), before);
});

test('members do not get the port of another vNIC type that one who failed has left in their network', async () => {
  const { loadBalancerId, poolId } = await create();
  const { id } = await runtime.db
    .selectFrom('amphorae')
    .select('id')
    .where('load_balancer_id', '=', loadBalancerId)
    .executeTakeFirstOrThrow();
  const [networkId = ''] = subnets;
  const left = {
    name: memberPortName(id, networkId),
    networkId,
    vnicType: 'direct',
    adminStateUp: true,
  } as const;
  await runtime.provider.network.createPort(left, { signal: AbortSignal.timeout(5_000) });
  await addMember(poolId, 1, { subnet_id: networkId });
  assert.is(await runtime.waitFor(loadBalancerId, ['ACTIVE', 'ERROR']), 'ACTIVE');
  assert.equal(
    (await memberPorts(loadBalancerId)).map(({ vnicType }) => vnicType),
    ['normal'],
  );
});

test('what is on its way out can be neither changed nor removed again', async () => {
  const { loadBalancerId, poolId } = await create();
  const open = hold();
  const { member } = await addMember(poolId, 1);
  const path = `pools/${poolId}/members/${member?.id}`;
  await send(204, 'DELETE', path);
  await send(409, 'DELETE', path);
  await send(409, 'PUT', path, { member: { weight: 2 } });
  await send(409, 'PUT', `pools/${poolId}/members`, { members: [address(1)] });
  await send(204, 'DELETE', `pools/${poolId}`);
  await send(409, 'POST', `pools/${poolId}/members`, { member: address(2) });
  await send(404, 'POST', 'listeners', {
    listener: {
      loadbalancer_id: loadBalancerId,
      protocol: 'HTTP',
      protocol_port: 81,
      default_pool_id: poolId,
    },
  });
  open();
  assert.is(await runtime.waitFor(loadBalancerId, ['ACTIVE', 'ERROR']), 'ACTIVE');
  assert.equal(await statuses('pools', loadBalancerId), []);
});

test('a load balancer that is being made or removed takes no changes', async () => {
  const open = hold();
  const { loadBalancerId, poolId } = await create({ wait: false });
  await send(409, 'POST', `pools/${poolId}/members`, { member: address(1) });
  open();
  await runtime.waitFor(loadBalancerId, ['ACTIVE']);
  await node.close();
  await send(204, 'DELETE', `loadbalancers/${loadBalancerId}?cascade=true`);
  await send(409, 'POST', `pools/${poolId}/members`, { member: address(1) });
});

const subnets = Array.from({ length: 3 }, () => randomUUID());

async function create({ wait = true } = {}) {
  const { loadbalancer } = (await send(201, 'POST', 'loadbalancers', {
    loadbalancer: {
      vip_subnet_id: randomUUID(),
      listeners: [
        {
          protocol: 'HTTP',
          protocol_port: 80,
          default_pool: { name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
        },
      ],
    },
  })) as { loadbalancer: { id: string; pools: { id: string }[] } };
  if (wait) await runtime.waitFor(loadbalancer.id, ['ACTIVE']);
  return { loadBalancerId: loadbalancer.id, poolId: loadbalancer.pools[0]?.id ?? '' };
}

const address = (number: number) => ({ address: `192.0.2.${number}`, protocol_port: 80 });

function addMember(poolId: string, number: number, attributes: object = {}): Promise<Answer> {
  const member = { ...address(number), ...attributes };
  return send(201, 'POST', `pools/${poolId}/members`, { member }) as Promise<Answer>;
}

async function send(status: number, method: string, path: string, body?: object): Promise<unknown> {
  const response = await app.request(`/v2/lbaas/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  assert.is(response.status, status, `${method} ${path}: ${text}`);
  return text && JSON.parse(text);
}

/** Pushes wait until the returned function is called. */
function hold(): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  return resolve;
}

function watched(effects: Effects): Effects {
  const { pushConfig } = effects;
  return {
    ...effects,
    pushConfig: {
      ...pushConfig,
      run: async (input, context) => {
        pushes += 1;
        await gate;
        if (failures > 0) {
          failures -= 1;
          throw new TerminalError('refused', 'the test refuses this push');
        }
        return pushConfig.run(input, context);
      },
    },
  };
}

async function statuses(table: 'members' | 'pools', loadBalancerId: string): Promise<string[]> {
  const rows = await runtime.db
    .selectFrom(table)
    .select('provisioning_status')
    .where('load_balancer_id', '=', loadBalancerId)
    .execute();
  return rows.map((row) => row.provisioning_status);
}

async function memberStatus({ member }: Answer): Promise<string | undefined> {
  const row = await runtime.db
    .selectFrom('members')
    .select('provisioning_status')
    .where('id', '=', member?.id ?? '')
    .executeTakeFirst();
  return row?.provisioning_status;
}

/** What its amphorae have in the networks of members. */
async function memberPorts(loadBalancerId: string) {
  const call = { signal: AbortSignal.timeout(5_000) };
  const amphorae = await runtime.db
    .selectFrom('amphorae')
    .select('id')
    .where('load_balancer_id', '=', loadBalancerId)
    .execute();
  const ports = amphorae.map(({ id }) =>
    runtime.provider.network.listPorts({ namePrefix: memberPortPrefix(id) }, call),
  );
  return (await Promise.all(ports)).flat();
}

function revisions(loadBalancerId: string) {
  return runtime.db
    .selectFrom('load_balancers')
    .select(['desired_revision', 'applied_revision'])
    .where('id', '=', loadBalancerId)
    .executeTakeFirstOrThrow();
}

/** The actor knows of all that was accepted. */
function messagesTaken(loadBalancerId: string): Promise<true> {
  return waitFor('the actor to take its messages', 5, async () => {
    const row = await runtime.db
      .selectFrom('messages')
      .select('id')
      .where('actor_id', '=', loadBalancerId)
      .executeTakeFirst();
    return row === undefined ? true : undefined;
  });
}

async function deadlocks(): Promise<number> {
  const { rows } = await sql<{ deadlocks: number }>`
    select deadlocks from pg_stat_database where datname = current_database()`.execute(runtime.db);
  return rows[0]?.deadlocks ?? 0;
}

test.run();
