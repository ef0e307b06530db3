import { setTimeout as pause } from 'node:timers/promises';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Mailbox } from '../../src/actors/mailbox.ts';
import { PostgresActorStore } from '../../src/actors/postgres-store.ts';
import { openDatabase } from '../../src/store/database.ts';
import { setDraining } from '../../src/store/nodes.ts';
import { compileRowChanges } from '../../src/store/row-changes.ts';
import { silentBus } from '../support/bus.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { storeContract } from './actor-store.ts';

let postgres: TestPostgres;
let database: ReturnType<typeof openDatabase>;
test.before(async () => {
  postgres = await startTestPostgres();
  database = openDatabase(postgres.url, { maxConnections: 2, applicationName: 'test' });
});
test.after(async () => {
  await database?.close();
  await postgres?.stop();
});

storeContract(async () => {
  const { db, pool } = database;
  await sql`TRUNCATE actors, messages, timers, dead_letters, nodes`.execute(db);
  await db.updateTable('partitions').set({ owner: null, lease_until: '-infinity' }).execute();
  const mailbox = new Mailbox(silentBus);
  return {
    store: new PostgresActorStore(pool, compileRowChanges),
    spawn: (address, input) => mailbox.spawn(db, address, input),
    send: (address, event) => mailbox.send(db, address, event),
    drain: (node, draining) => setDraining(db, node, draining),
    deadLetters: (actorId) =>
      db
        .selectFrom('dead_letters')
        .select(['event', 'error'])
        .where('actor_id', '=', actorId)
        .execute() as Promise<{ event: { type: string }; error: string }[]>,
    elapse: (ms) => pause(ms),
    // Nobody may set the clock of this host: what is stored moves the other way.
    setClock: async (byMs) => {
      const back = sql`${-byMs} * interval '1 millisecond'`;
      await sql`UPDATE partitions SET lease_until = lease_until + ${back}`.execute(db);
      await sql`UPDATE nodes SET seen_at = seen_at + ${back}`.execute(db);
      await sql`UPDATE timers SET due_at = due_at + ${back}`.execute(db);
    },
  };
});

test('statements are not compiled, whatever the server would do', async () => {
  const { rows } = await database.pool.query<{ jit: string }>('SHOW jit');
  assert.equal(rows, [{ jit: 'off' }]);
});

test.run();
