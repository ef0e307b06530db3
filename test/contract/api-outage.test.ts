import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createApi } from '../../src/http/app.ts';
import { openDatabase } from '../../src/store/database.ts';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const terminateAll = () =>
  sql`select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()`.execute(api.db);

test('a connection lost in the middle of a transaction fails the work, not the process', async () => {
  const work = api.db.transaction().execute(async (transaction) => {
    await sql`select 1`.execute(transaction);
    await terminateAll();
    await sql`select 2`.execute(transaction);
  });
  const failure = await work.catch((error: Error) => error);
  assert.match((failure as Error).message, /connection|terminat/i);
  assert.is((await api.send('GET', '/healthcheck')).status, 200);
});

test('while the database cannot be reached, requests are told to come again', async () => {
  const { db, close } = openDatabase('postgresql://127.0.0.1:1/none', {
    maxConnections: 1,
    applicationName: 'none',
  });
  const cut = createApi({ ...api.dependencies, db });
  for (const path of ['/healthcheck', '/v2/lbaas/loadbalancers', `/v2/lbaas/pools/${randomUUID()}`]) {
    const answer = await cut.request(path);
    assert.is(answer.status, 503, path);
    assert.is(((await answer.json()) as { faultcode: string }).faultcode, 'Server');
  }
  await close();
});

test.run();
