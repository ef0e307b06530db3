import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { AmphoraRole, Topology } from '../../src/model/status.ts';
import { lockLoadBalancer } from '../../src/store/load-balancers.ts';
import { type Harness, startHarness } from './api-harness.ts';

// Who may be failed over, and what the actor is told. That it works: test/dataplane/failover.test.ts.

let api: Harness;
test.before(async () => {
  api = await startHarness();
});
test.after(() => api?.stop());

const path = (id: string) => `/v2.0/lbaas/loadbalancers/${id}/failover`;

test('a load balancer: 202 without a body, PENDING_UPDATE, and the standby is replaced first', async () => {
  const { id } = await api.createLoadBalancer();
  const master = await amphora(id, 'MASTER');
  const standby = await amphora(id, 'BACKUP');
  await topology(id, 'ACTIVE_STANDBY');
  const answer = await api.send('PUT', path(id));
  assert.is(answer.status, 202);
  const { loadbalancer } = await api.expect(200, 'GET', `/v2.0/lbaas/loadbalancers/${id}`);
  assert.is(loadbalancer.provisioning_status, 'PENDING_UPDATE');
  assert.equal(
    told().replacements.map(({ oldId, role }) => [oldId, role]),
    [
      [standby, 'BACKUP'],
      [master, 'MASTER'],
    ],
  );
  await api.refuse(409, /Invalid state PENDING_UPDATE/, 'PUT', path(id));
});

test('one whose creation failed: what is missing is made', async () => {
  const { id } = await api.createLoadBalancer();
  await api.db
    .updateTable('load_balancers')
    .set({ provisioning_status: 'ERROR' })
    .where('id', '=', id)
    .execute();
  await api.expect(202, 'PUT', path(id));
  assert.equal(
    told().replacements.map(({ oldId, role }) => [oldId, role]),
    [[null, 'STANDALONE']],
  );
});

test('amphorae that are too many go', async () => {
  const { id } = await api.createLoadBalancer();
  const [first, second] = [await amphora(id, 'STANDALONE'), await amphora(id, 'STANDALONE')].sort();
  await api.expect(202, 'PUT', path(id));
  const { replacements } = told();
  assert.equal(replacements.map(({ oldId }) => oldId).sort(), [first, second]);
  assert.is(replacements.at(-1)?.newId, null);
});

test('an amphora: only while its load balancer is ACTIVE', async () => {
  const { id } = await api.createLoadBalancer();
  const only = await amphora(id, 'STANDALONE');
  await api.expect(202, 'PUT', `/v2.0/octavia/amphorae/${only}/failover`);
  assert.equal(
    told().replacements.map(({ oldId, role }) => [oldId, role]),
    [[only, 'STANDALONE']],
  );
  await api.refuse(409, /immutable/, 'PUT', `/v2.0/octavia/amphorae/${only}/failover`);
});

test('an amphora that went while its failover waited for the load balancer: 404, and no other comes', async () => {
  const { id } = await api.createLoadBalancer();
  const only = await amphora(id, 'STANDALONE');
  const [answer] = await api.db.transaction().execute(async (transaction) => {
    await lockLoadBalancer(transaction, id);
    const answer = api.send('PUT', `/v2.0/octavia/amphorae/${only}/failover`);
    await waitFor('the request to wait for the lock', 10, async () => {
      const { rows } = await sql`SELECT FROM pg_locks WHERE NOT granted`.execute(api.db);
      return rows.length > 0 ? true : undefined;
    });
    await transaction.deleteFrom('amphorae').where('id', '=', only).execute();
    return [answer];
  });
  assert.is((await answer).status, 404);
});

test('what does not exist: 404', async () => {
  await api.refuse(404, /Load Balancer .* not found/, 'PUT', path(randomUUID()));
  await api.refuse(404, /Amphora .* not found/, 'PUT', `/v2.0/octavia/amphorae/${randomUUID()}/failover`);
});

/** The last thing that an actor was told. */
function told(): {
  type: string;
  replacements: { oldId: string; newId: string | null; role: AmphoraRole }[];
} {
  const event = api.published.at(-1)?.event as ReturnType<typeof told>;
  assert.is(event.type, 'FAILOVER');
  return event;
}

async function amphora(loadBalancerId: string, role: AmphoraRole): Promise<string> {
  const id = randomUUID();
  await api.db
    .insertInto('amphorae')
    .values({ id, load_balancer_id: loadBalancerId, status: 'ALLOCATED', role })
    .execute();
  return id;
}

async function topology(id: string, value: Topology): Promise<void> {
  await api.db.updateTable('load_balancers').set({ topology: value }).where('id', '=', id).execute();
}

test.run();
