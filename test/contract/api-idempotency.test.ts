import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { claimRequest, pruneRequests } from '../../src/store/idempotency-keys.ts';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const PATH = '/v2/lbaas/loadbalancers';
const body = (attributes: object = {}) => ({ loadbalancer: { vip_subnet_id: randomUUID(), ...attributes } });
const post = (key: string, given: unknown, path = PATH) =>
  api.send('POST', path, given, { 'idempotency-key': key });
const count = async () => (await api.send('GET', PATH)).body.loadbalancers.length as number;

const unanswered = () =>
  sql`update idempotency_keys set answer_status = null, claimed_until = now() - interval '1 s'`.execute(
    api.db,
  );

test('a repeated request gets the first answer, and makes nothing', async () => {
  const given = body({ name: 'once' });
  const [first, before] = [await post('repeat', given), await count()];
  assert.is(first.status, 201);
  assert.is(first.headers.get('idempotency-replayed'), null);
  await api.settle();
  const second = await post('repeat', given);
  assert.is(second.status, 201);
  assert.is(second.headers.get('idempotency-replayed'), 'true');
  assert.equal(second.body, first.body);
  assert.is(await count(), before);
});

test('of many at once one is done, and the others hear of it', async () => {
  const [given, before] = [body(), await count()];
  const answers = await Promise.all(Array.from({ length: 10 }, () => post('at-once', given)));
  const ids = new Set(
    answers.filter(({ status }) => status === 201).map((answer) => answer.body.loadbalancer.id),
  );
  assert.is(ids.size, 1);
  assert.ok(answers.every(({ status }) => status === 201 || status === 409));
  assert.is(await count(), before + 1);
});

test('the key of another request is refused', async () => {
  await post('taken', body());
  const answer = await post('taken', body());
  assert.is(answer.status, 422);
  assert.match(answer.body.faultstring, /used for another request/);
});

test('a refused request leaves its key free', async () => {
  assert.is((await post('refused', body({ vip_address: 'wrong' }))).status, 400);
  assert.is((await post('refused', body())).status, 201);
});

test('where the process died after its work, the next one finds the object', async () => {
  const given = body({ name: 'died' });
  const { id } = (await post('died', given)).body.loadbalancer;
  const before = await count();
  await unanswered();
  const answer = await post('died', given);
  assert.equal([answer.status, answer.body.loadbalancer.id], [201, id]);
  assert.is(await count(), before);
});

test('where it died before its work, the next one does it', async () => {
  const given = body({ name: 'died early' });
  const { id } = (await post('early', given)).body.loadbalancer;
  await sql`delete from load_balancers where id = ${id}`.execute(api.db);
  await sql`delete from actors where id = ${id}`.execute(api.db);
  await unanswered();
  assert.is((await post('early', given)).status, 201);
});

test('what was made and deleted is not made again', async () => {
  const given = body();
  const { id } = (await post('gone', given)).body.loadbalancer;
  await api.settle();
  await api.expect(204, 'DELETE', `${PATH}/${id}`);
  await api.settle();
  await unanswered();
  const answer = await post('gone', given);
  assert.equal([answer.status, answer.body.faultstring], [409, 'The load balancer has been made before.']);
});

test('keys of one project are not those of another', async () => {
  const claim = (projectId: string) =>
    claimRequest(
      api.db,
      { projectId, key: 'same', request: projectId },
      { objectId: randomUUID(), seconds: 60 },
    );
  assert.is((await claim('one')).kind, 'ours');
  assert.is((await claim('two')).kind, 'ours');
  assert.is((await claim('one')).kind, 'running');
});

test('keys are text that can be seen, and are forgotten in the end', async () => {
  for (const key of ['', 'a b', 'x'.repeat(256)]) assert.is((await post(key, body())).status, 400, key);
  assert.is(await pruneRequests(api.db, 3_600_000), 0);
  await sql`update idempotency_keys set created_at = now() - interval '2 hours'`.execute(api.db);
  assert.ok((await pruneRequests(api.db, 3_600_000)) > 0);
});

test('every kind of object takes keys', async () => {
  const made = await api.createLoadBalancer();
  const listener = { loadbalancer_id: made.id, protocol: 'HTTP', protocol_port: 80 };
  for (const _ of [1, 2]) assert.is((await post('l', { listener }, '/v2/lbaas/listeners')).status, 201);
  const flavorprofile = { name: 'p', provider_name: 'amphora', flavor_data: '{}' };
  const profiles = [1, 2].map(() => post('f', { flavorprofile }, '/v2/lbaas/flavorprofiles'));
  const ids = (await Promise.all(profiles))
    .filter(({ status }) => status === 201)
    .map((answer) => answer.body.flavorprofile.id);
  assert.is(new Set(ids).size, 1);
});

test.run();
