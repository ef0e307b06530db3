// timeout: 240
import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { privatePostgres } from '../../src/cli/up/supervisor.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { Hold } from '../support/hold.ts';
import { type LoadBalancer, type System, startSystem } from '../support/system.ts';

// The controller is killed (SIGKILL) while an amphora is in one of its failure states, which the noop provider brings
// about on demand. The other states of both charts: test/dataplane/controller-death.test.ts.

const creations = {
  bootFailure: 'info:terminal',
  portPlugFailure: 'plugVip:terminal',
  configSyncFailure: 'uploadHaproxy:terminal',
  firewallSyncFailure: 'setSecurityGroup:terminal',
};

for (const [state, failure] of Object.entries(creations)) {
  test(`creation fails, killed in amphora ${state}: ERROR with the reason, and the amphora is gone`, () =>
    withFailing(failure, async (system, hold) => {
      await hold.set('amphora', state);
      const id = await post(system);
      await die(system, hold);
      const balancer = await system.waitFor(id, ['ACTIVE', 'ERROR'], 30_000);
      assert.is(balancer.provisioning_status, 'ERROR');
      assert.match(JSON.stringify(balancer.provisioning_error), /noop_failure/);
      assert.equal(await amphoraeOf(system), []);
    }));
}

// The provider that comes up knows nothing of the server that the last one could not delete: now it can be forgotten.
test('a release fails, killed in amphora ERROR: the delete is finished', () =>
  withFailing('deleteServer:terminal', async (system, hold) => {
    const id = await post(system);
    await system.waitFor(id, ['ACTIVE'], 30_000);
    const path = `/v2.0/lbaas/loadbalancers/${id}?cascade=true`;
    await system.api('DELETE', path);
    const failed = await system.waitFor(id, ['ERROR'], 30_000);
    assert.match(JSON.stringify(failed.provisioning_error), /noop_failure/);
    await hold.set('amphora', 'ERROR');
    await system.api('DELETE', path);
    await die(system, hold);
    await waitFor('the load balancer to be gone', 30, async () => {
      const { loadbalancers } = await system.api<{ loadbalancers: object[] }>(
        'GET',
        '/v2.0/lbaas/loadbalancers',
      );
      return loadbalancers.length === 0 ? true : undefined;
    });
    assert.equal(await amphoraeOf(system), []);
  }));

// Its failure is no state of its own: the amphora serves, and shows the reason until the next attempt.
test('agents are told their settings anew, killed in amphora reconfiguring: ready again, with a failure noted', () =>
  withFailing('configure:terminal:1', async (system, hold) => {
    const id = await post(system);
    await system.waitFor(id, ['ACTIVE'], 30_000);
    const { amphorae } = await system.api<{ amphorae: { id: string }[] }>('GET', '/v2.0/octavia/amphorae');
    const configure = () => system.api('PUT', `/v2.0/octavia/amphorae/${amphorae[0]?.id}/config`);
    await hold.set('amphora', 'reconfiguring');
    await configure();
    await die(system, hold);
    await amphoraRow(system, ({ state, error_code }) => state === 'ready' && error_code === 'noop_failure');
    await configure();
    await amphoraRow(system, ({ state, error_code }) => state === 'ready' && error_code === null);
    await system.waitFor(id, ['ACTIVE'], 1_000);
  }));

async function withFailing(
  failure: string,
  work: (system: System, hold: Hold) => Promise<void>,
): Promise<void> {
  const system = await startSystem({ provider: 'noop', settings: { noop_fail: [failure] } });
  try {
    const hold = await Hold.open(privatePostgres(system.config).url);
    await work(system, hold).finally(() => hold.close());
  } finally {
    await system.stop();
  }
}

async function post(system: System): Promise<string> {
  const { loadbalancer } = await system.api<{ loadbalancer: LoadBalancer }>(
    'POST',
    '/v2.0/lbaas/loadbalancers',
    {
      loadbalancer: { vip_subnet_id: randomUUID(), listeners: [{ protocol: 'HTTP', protocol_port: 80 }] },
    },
  );
  return loadbalancer.id;
}

async function die(system: System, hold: Hold): Promise<void> {
  await hold.reached();
  system.killController(1, 'SIGKILL');
  await hold.release();
  await waitFor('the API to be back', 30, () => system.api<object>('GET', '/'));
}

/** Wait until the one amphora is so. */
async function amphoraRow(
  system: System,
  is: (row: { state: string; error_code: string | null }) => boolean,
): Promise<void> {
  await withDatabase(system, (db) =>
    waitFor('the amphora to be ready', 30, async () => {
      const row = await db
        .selectFrom('amphorae')
        .innerJoin('actors', 'actors.id', 'amphorae.id')
        .select(['actors.state', 'amphorae.error_code'])
        .executeTakeFirstOrThrow();
      return is(row) ? true : undefined;
    }),
  );
}

/** Statuses of the amphorae that still have a row. */
async function amphoraeOf(system: System): Promise<string[]> {
  return withDatabase(system, async (db) => {
    const rows = await db.selectFrom('amphorae').select('status').execute();
    return rows.map(({ status }) => status);
  });
}

async function withDatabase<T>(system: System, work: (db: Db) => Promise<T>): Promise<T> {
  const { db, close } = openDatabase(privatePostgres(system.config).url, {
    maxConnections: 1,
    applicationName: 'test',
  });
  return work(db).finally(close);
}

test.run();
