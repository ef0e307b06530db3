import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { claimChore, endedActors, prune } from '../../src/store/chores.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

// What removes what is over. That orphans are found at a provider: test/contract/provider.ts.

let postgres: TestPostgres;
let database: ReturnType<typeof openDatabase>;
let db: Db;
test.before(async () => {
  postgres = await startTestPostgres();
  database = openDatabase(postgres.url, { maxConnections: 4, applicationName: 'test' });
  db = database.db;
});
test.after(async () => {
  await database?.close();
  await postgres?.stop();
});

const HOUR = 3_600_000;
const keep = { history: 10 * HOUR, deadLetters: 20 * HOUR, audit: 30 * HOUR, deleted: 40 * HOUR };
const ago = (hours: number) => new Date(Date.now() - hours * HOUR);

const actor = async (attributes: { done?: boolean; hours: number }) => {
  const id = randomUUID();
  const { done = true, hours } = attributes;
  const versions = { machine_version: 1, xstate_version: '5' };
  await db
    .insertInto('actors')
    .values({ kind: 'amphora', id, partition: 0, input: '{}', done, updated_at: ago(hours), ...versions })
    .execute();
  return id;
};

test('a chore is done by one of those who look, and then not before it is due again', async () => {
  const claims = await Promise.all(Array.from({ length: 8 }, () => claimChore(db, 'sweep', 60_000)));
  assert.is(claims.filter(Boolean).length, 1);
  assert.is(await claimChore(db, 'other', 60_000), true);
  await db.updateTable('chores').set({ due_at: sql`now()` }).where('name', '=', 'sweep').execute();
  assert.is(await claimChore(db, 'sweep', 60_000), true);
});

test('a chore that was claimed before the clock was set back is due', async () => {
  await claimChore(db, 'clock', 60_000);
  await db.updateTable('chores').set({ due_at: sql`due_at + interval '1 day'` }).execute();
  assert.is(await claimChore(db, 'clock', 60_000), true);
  assert.is(await claimChore(db, 'clock', 60_000), false);
});

test('an actor has ended when it is done, and has been for long enough', async () => {
  const [ended, late, alive] = [
    await actor({ hours: 2 }),
    await actor({ hours: 0 }),
    await actor({ done: false, hours: 2 }),
  ];
  const ids = [ended, late, alive, randomUUID()];
  assert.equal(await endedActors(db, { kind: 'amphora', ids, graceMs: HOUR }), new Set([ended]));
  assert.equal(await endedActors(db, { kind: 'load-balancer', ids, graceMs: HOUR }), new Set());
});

test('what is older than it is kept goes, batch by batch, and nothing else', async () => {
  const [old, young, alive] = [
    await actor({ hours: 41 }),
    await actor({ hours: 39 }),
    await actor({ done: false, hours: 500 }),
  ];
  await sql`INSERT INTO actor_events (actor_kind, actor_id, version, epoch, node, event, from_state, to_state, handled, at)
    SELECT 'amphora', ${alive}::uuid, n, 1, 'node', '{}', 'a', 'b', true, ${ago(11)}
    FROM generate_series(1, 2500) n`.execute(db);
  await sql`INSERT INTO actor_events (actor_kind, actor_id, version, epoch, node, event, from_state, to_state, handled, at)
    VALUES ('amphora', ${alive}::uuid, 2501, 1, 'node', '{}', 'a', 'b', true, ${ago(9)})`.execute(db);
  const letter = { partition: 0, actor_kind: 'amphora', actor_id: alive, event: '{}', error: 'boom' };
  for (const hours of [19, 21]) {
    const times = { created_at: ago(hours), died_at: ago(hours) };
    await db
      .insertInto('dead_letters')
      .values({ id: randomUUID(), ...letter, ...times })
      .execute();
  }
  for (const hours of [29, 31]) {
    const who = { operator: 'alice', action: 'resume', actor_kind: null, actor_id: null, payload: '{}' };
    await db
      .insertInto('actor_audit')
      .values({ ...who, created_at: ago(hours) })
      .execute();
  }
  for (const [id, hours] of [
    ['long-dead', 11],
    ['dead', 9],
  ] as const) {
    await db
      .insertInto('nodes')
      .values({ id, seen_at: ago(hours) })
      .execute();
  }
  const balancers: string[] = [];
  for (const [status, hours] of [
    ['DELETED', 41],
    ['DELETED', 39],
    ['ERROR', 500],
  ] as const) {
    const id = randomUUID();
    balancers.push(id);
    const names = { project_id: 'p', provider: 'amphora', topology: 'SINGLE' as const };
    const times = { created_at: ago(600), updated_at: ago(hours) };
    await db
      .insertInto('load_balancers')
      .values({ id, ...names, ...times, provisioning_status: status })
      .execute();
  }

  assert.equal(await prune(db, keep), {
    ...{ actor_events: 2500, automatic_failovers: 0, nodes: 1, dead_letters: 1, actor_audit: 1 },
    ...{ load_balancers: 1, actors: 1 },
  });
  const left = await db.selectFrom('load_balancers').select('id').orderBy('updated_at', 'desc').execute();
  assert.equal(
    left.map(({ id }) => id),
    balancers.slice(1),
  );
  const actors = await db.selectFrom('actors').select('id').where('id', 'in', [old, young, alive]).execute();
  assert.equal(actors.map(({ id }) => id).sort(), [young, alive].sort());
  const again = await prune(db, keep);
  assert.is(
    Object.values(again).reduce((sum, count) => sum + count),
    0,
  );
});

test.run();
