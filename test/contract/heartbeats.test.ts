import { randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Heartbeat, sealHeartbeat } from '../../src/amphora-api/heartbeat.ts';
import { endStrays } from '../../src/cli/serve/health.ts';
import { ORPHANS } from '../../src/cli/serve/housekeeping.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { HeartbeatReceiver } from '../../src/health/receiver.ts';
import { StaleWatch } from '../../src/health/stale-watch.ts';
import { claimChore } from '../../src/store/chores.ts';
import { type Harness, startHarness } from './api-harness.ts';

const KEY = 'the key of this test';
const GRACE = { orphan_grace_seconds: 3_600 };
const log = pino({ level: 'silent' });
const sender = createSocket('udp4');

let harness: Harness;
let receiver: HeartbeatReceiver;
let announced = 0;

test.before(async () => {
  harness = await startHarness();
  const announce = () => {
    announced += 1;
  };
  receiver = await HeartbeatReceiver.open(
    { db: harness.db, key: KEY, announce, log, stray: (ids) => endStrays(harness.db, ids, GRACE) },
    { address: '127.0.0.1', port: 0, intervalMs: 10_000 },
  );
});
test.after(async () => {
  sender.close();
  await receiver?.close();
  await harness?.stop();
});

interface Balancer {
  id: string;
  amphora: string;
  listener: string;
  pool: string;
  member: string;
}

/** An ACTIVE load balancer with a listener, a pool, a member and an amphora in service. */
async function createBalancer(): Promise<Balancer> {
  const { id, listeners, pools } = await harness.createLoadBalancer({
    listeners: [
      {
        protocol: 'HTTP',
        protocol_port: 80,
        default_pool: {
          name: 'web',
          protocol: 'HTTP',
          lb_algorithm: 'ROUND_ROBIN',
          members: [{ address: '192.0.2.9', protocol_port: 80 }],
        },
      },
    ],
  });
  const amphora = await createAmphora(id);
  return { id, amphora, listener: listeners[0].id, pool: pools[0].id, member: pools[0].members[0].id };
}

async function createAmphora(load_balancer_id: string): Promise<string> {
  const id = randomUUID();
  await harness.db
    .insertInto('amphorae')
    .values({ id, load_balancer_id, status: 'ALLOCATED', role: 'STANDALONE', vrrp_id: 1 })
    .execute();
  return id;
}

function beat({ amphora, listener, pool, member }: Balancer, changes: Partial<Heartbeat> = {}): Heartbeat {
  return {
    id: amphora,
    seq: 0,
    ver: 3,
    listeners: {
      [listener]: { status: 'OPEN', stats: { tx: 1000, rx: 200, conns: 3, totconns: 4, ereq: 5 } },
    },
    pools: { [`${pool}:${listener}`]: { status: 'UP', members: { [member]: 'UP' } } },
    ...changes,
  };
}

/** Send, and wait until all is dealt with: the last heartbeat is of a load balancer of its own, which comes ONLINE. */
async function send(...heartbeats: Heartbeat[]): Promise<void> {
  const { id } = await harness.createLoadBalancer();
  const last: Heartbeat = { id: await createAmphora(id), seq: 0, ver: 3, listeners: {}, pools: {} };
  for (const heartbeat of [...heartbeats, last]) sendDatagram(sealHeartbeat(heartbeat, KEY));
  await waitFor('the heartbeats to be recorded', 5, async () => {
    const marker = await harness.show(`/v2.0/lbaas/loadbalancers/${id}`);
    return marker.operating_status === 'ONLINE' || undefined;
  });
}

function sendDatagram(datagram: Buffer): void {
  sender.send(datagram, receiver.port, '127.0.0.1');
}

function healthOf(amphora: string) {
  return harness.db
    .selectFrom('amphora_health')
    .selectAll()
    .where('amphora_id', '=', amphora)
    .executeTakeFirst();
}

const traffic = {
  bytes_in: 200,
  bytes_out: 1000,
  active_connections: 3,
  total_connections: 4,
  request_errors: 5,
};
const path = (balancer: Balancer) => `/v2.0/lbaas/loadbalancers/${balancer.id}`;
const stats = async (of: string) => (await harness.send('GET', `${of}/stats`)).body;

async function statuses(balancer: Balancer): Promise<string[]> {
  const shown = await harness.show(path(balancer));
  const listener = await harness.show(`/v2.0/lbaas/listeners/${balancer.listener}`);
  const pool = await harness.show(`/v2.0/lbaas/pools/${balancer.pool}`);
  const member = await harness.show(`/v2.0/lbaas/pools/${balancer.pool}/members/${balancer.member}`);
  return [shown, listener, pool, member].map(({ operating_status }) => operating_status);
}

test('operating statuses follow the heartbeats, and each change is an event', async () => {
  const balancer = await createBalancer();
  assert.equal(await statuses(balancer), ['OFFLINE', 'OFFLINE', 'OFFLINE', 'NO_MONITOR']);
  await harness.db.deleteFrom('status_events').execute();
  const before = announced;
  await send(beat(balancer));
  assert.equal(await statuses(balancer), ['ONLINE', 'ONLINE', 'ONLINE', 'ONLINE']);
  assert.ok(announced > before);
  const pools = {
    [`${balancer.pool}:${balancer.listener}`]: { status: 'DOWN', members: { [balancer.member]: 'DOWN' } },
  };
  await send(beat(balancer, { pools }));
  assert.equal(await statuses(balancer), ['ERROR', 'ONLINE', 'ERROR', 'ERROR']);
  const events = await harness.db
    .selectFrom('status_events')
    .select(['resource', 'new_operating_status as status'])
    .where('load_balancer_id', '=', balancer.id)
    .where('operation', '=', 'UPDATE')
    .where('resource', '<>', 'amphora')
    .orderBy('sequence')
    .execute();
  const seen = (resource: string) =>
    events.filter((event) => event.resource === resource).map(({ status }) => status);
  assert.equal(seen('loadbalancer'), ['ONLINE', 'ERROR']);
  assert.equal(seen('listener'), ['ONLINE']);
  assert.equal(seen('member'), ['ONLINE', 'ERROR']);
});

test('statistics add up over heartbeats and amphorae, and are gone with their amphora', async () => {
  const balancer = await createBalancer();
  const listener = `/v2.0/lbaas/listeners/${balancer.listener}`;
  const amphora = `/v2.0/octavia/amphorae/${balancer.amphora}`;
  const nothing = Object.fromEntries(Object.keys(traffic).map((name) => [name, 0]));
  assert.equal(await stats(path(balancer)), { stats: nothing });
  assert.is((await harness.send('GET', `${amphora}/stats`)).status, 404);

  const other = { ...balancer, amphora: await createAmphora(balancer.id) };
  await send(beat(balancer), beat(balancer, { seq: 1 }), beat(other));
  const sum = {
    bytes_in: 600,
    bytes_out: 3000,
    active_connections: 6,
    total_connections: 12,
    request_errors: 15,
  };
  assert.equal(await stats(path(balancer)), { stats: sum });
  assert.equal(await stats(listener), { stats: sum });
  assert.equal(await stats(`/v2.0/octavia/amphorae/${other.amphora}`), {
    amphora_stats: [
      { id: other.amphora, listener_id: balancer.listener, loadbalancer_id: balancer.id, ...traffic },
    ],
  });
  await harness.db.deleteFrom('amphorae').where('id', '=', other.amphora).execute();
  assert.is((await stats(path(balancer))).stats.bytes_in, 400);
});

test('what is forged, replayed, unknown or about another load balancer changes nothing', async () => {
  const [balancer, stranger] = [await createBalancer(), await createBalancer()];
  sendDatagram(sealHeartbeat(beat(balancer), 'another key'));
  sendDatagram(Buffer.from('nonsense'));
  await send(beat({ ...balancer, amphora: randomUUID() }), beat({ ...stranger, amphora: balancer.amphora }));
  assert.equal(await statuses(stranger), ['OFFLINE', 'OFFLINE', 'OFFLINE', 'NO_MONITOR']);
  assert.is((await stats(path(stranger))).stats.bytes_in, 0);

  const first = beat(balancer, { start: 2, seq: 7 });
  await send(first);
  assert.is((await stats(path(balancer))).stats.bytes_in, 200);
  await send(first, beat(balancer, { start: 1, seq: 900 }), beat(balancer));
  assert.is((await stats(path(balancer))).stats.bytes_in, 200, 'older ones, and one without a number');
  await send(beat(balancer, { start: 3, seq: 0 }));
  assert.is((await stats(path(balancer))).stats.bytes_in, 400, 'the agent was started again');
});

test('an amphora that is heard long after it has ended is looked for at once', async () => {
  const isDue = () => claimChore(harness.db, ORPHANS, 3_600_000);
  const ended = async (hours: number) => {
    const balancer = await createBalancer();
    await harness.db.deleteFrom('amphorae').where('id', '=', balancer.amphora).execute();
    await sql`INSERT INTO actors (kind, id, partition, input, machine_version, xstate_version, done, updated_at)
      VALUES ('amphora', ${balancer.amphora}::uuid, 0, '{}', 1, '5', true, now() - ${hours} * interval '1 hour')`.execute(
      harness.db,
    );
    return balancer;
  };
  await isDue();
  await send(beat(await ended(0)), beat({ ...(await ended(0)), amphora: randomUUID() }));
  assert.not(await isDue());
  await send(beat(await ended(2)));
  assert.ok(await isDue());
});

test('an amphora that lost a listener is not taken for a sound one', async () => {
  const balancer = await createBalancer();
  await send(beat(balancer));
  const sound = await healthOf(balancer.amphora);
  await send(beat(balancer, { listeners: {} }));
  assert.equal((await healthOf(balancer.amphora))?.last_update, sound?.last_update);
  assert.equal(await statuses(balancer), ['ERROR', 'ERROR', 'ONLINE', 'ONLINE']);
  await send(beat(balancer));
  assert.ok(Number((await healthOf(balancer.amphora))?.last_update) > Number(sound?.last_update));
});

test('of a pair the one that carries the traffic decides', async () => {
  const balancer = await createBalancer();
  const down = { [`${balancer.pool}:${balancer.listener}`]: { status: 'DOWN', members: {} } };
  const backup = { ...balancer, amphora: await createAmphora(balancer.id) };
  await send(beat(balancer, { vrrp_state: 'MASTER' }), beat(backup, { vrrp_state: 'BACKUP', pools: down }));
  assert.equal(await statuses(balancer), ['ONLINE', 'ONLINE', 'ONLINE', 'ONLINE']);
});

test('a load balancer that is being changed is left to its next heartbeat, and nobody waits', async () => {
  const [busy, free] = [await createBalancer(), await createBalancer()];
  await harness.db.transaction().execute(async (transaction) => {
    await transaction
      .selectFrom('load_balancers')
      .select('id')
      .where('id', '=', busy.id)
      .forUpdate()
      .execute();
    await send(beat(busy), beat(free));
    assert.is((await statuses(free))[0], 'ONLINE');
    assert.is((await statuses(busy))[0], 'OFFLINE');
  });
  await send(beat(busy));
  assert.is((await statuses(busy))[0], 'ONLINE');
});

test('a load balancer hears once that an amphora has fallen silent, and once that it speaks again', async () => {
  const balancer = await createBalancer();
  const silent = await createAmphora(balancer.id);
  await send(beat(balancer));
  const told = () =>
    harness.published
      .map(({ event }) => event as { type: string; amphoraId?: string })
      .filter(({ amphoraId }) => amphoraId === silent)
      .map(({ type }) => type);
  const watches = [1, 2].map(
    () =>
      new StaleWatch(
        { db: harness.db, mailbox: harness.dependencies.mailbox, log },
        { checkMs: 20, timeoutMs: 300 },
      ),
  );
  try {
    const start = performance.now();
    await waitFor('the load balancer to be told', 5, async () => told().length > 0 || undefined);
    assert.ok(performance.now() - start > 300, 'not before it had the time to speak');
    await sleep(100);
    assert.equal(told(), ['AMPHORA_STALE']);
    // The limiter has held its failover back meanwhile.
    await harness.db
      .updateTable('amphorae')
      .set({ status: 'FAILOVER_STOPPED' })
      .where('id', '=', silent)
      .execute();
    const listeners = beat(balancer).listeners;
    const speaking = setInterval(() => {
      sendDatagram(sealHeartbeat({ id: silent, seq: 0, ver: 3, listeners, pools: {} }, KEY));
    }, 50);
    await waitFor(
      'the load balancer to be told again',
      5,
      async () => told().length > 1 || undefined,
    ).finally(() => clearInterval(speaking));
    assert.equal(told(), ['AMPHORA_STALE', 'AMPHORA_ALIVE']);
  } finally {
    await Promise.all(watches.map((watch) => watch.close()));
  }
});

test.run();
