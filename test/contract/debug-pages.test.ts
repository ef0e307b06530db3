// timeout: 120
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Node } from '../../src/actors/node.ts';
import { openAccess } from '../../src/cli/serve/access.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { loadConfig } from '../../src/config.ts';
import { filterOf, type ListQuery, matches, readListQuery } from '../../src/http/debug/list-query.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { PlacementError } from '../../src/model/errors.ts';
import { listActors, listedActors, partitionOwners } from '../../src/store/actor-list.ts';
import { type DebugPages, type Page, startDebugPages } from '../support/debug-pages.ts';
import { openEvents } from '../support/event-source.ts';
import { startFakeKeystone } from '../support/fake-keystone.ts';
import { accountSettings, type Person } from '../support/keystone.ts';

/** The pages that list actors and show one, what operators do there, and who may. */
let pages: DebugPages;
let node: Node | undefined;
/** One load balancer of each sort: in service, failed, and one whose amphora is booting for ever. */
const ids = { active: '', failed: '', booting: '' };
test.before(async () => {
  pages = await startDebugPages();
  const { runtime } = pages;
  const failing = new Set<string>();
  node = await runtime.startNode('node <1>', {
    effects: (effects: Effects) => ({
      ...effects,
      placeServer: {
        ...effects.placeServer,
        async run(input, context) {
          if (failing.has((input as { loadBalancerId: string }).loadBalancerId))
            throw new PlacementError('no_vf_left', 'Nova said: <no valid host> & no VF');
          return effects.placeServer.run(input, context);
        },
      },
      awaitAgent: {
        ...effects.awaitAgent,
        run: async (input, context) =>
          (input as { loadBalancerId: string }).loadBalancerId === ids.booting
            ? new Promise(() => {})
            : effects.awaitAgent.run(input, context),
      },
    }),
  });
  ids.active = await runtime.createLoadBalancer();
  await runtime.waitFor(ids.active, ['ACTIVE']);
  ids.failed = await createWith((id) => failing.add(id));
  await runtime.waitFor(ids.failed, ['ERROR']);
  ids.booting = await createWith((id) => {
    ids.booting = id;
  });
  await waitFor('a booting amphora', 5, async () =>
    (await pages.get('/debug/?state=booting')).text.includes('id="amphora-') ? true : undefined,
  );
});
test.after(() => pages.stop());

/** A load balancer about which something is known before its actor comes to life. */
async function createWith(prepare: (id: string) => void): Promise<string> {
  const { mailbox } = pages.runtime;
  const publish = mailbox.publish;
  mailbox.publish = (...envelopes) => {
    for (const { actorId } of envelopes) prepare(actorId);
    publish.call(mailbox, ...envelopes);
  };
  try {
    return await pages.runtime.createLoadBalancer();
  } finally {
    mailbox.publish = publish;
  }
}

const keysOf = ({ text }: Page): string[] =>
  [...text.matchAll(/<tr id="([a-z-]+-[0-9a-f-]{36})"/g)].map(([, key]) => key ?? '').sort();
const pathOf = (id: string, kind = 'load-balancer') => `/debug/actors/${kind}/${id}`;

test('actors are listed by kind, state, node, partition, age and error, and counted', async () => {
  const all = await pages.get('/debug/');
  assert.is(all.status, 200);
  assert.ok(keysOf(all).length >= 5);
  const balancer = (id: string) => `load-balancer-${id}`;
  assert.equal(keysOf(await pages.get('/debug/?error=failed&kind=load-balancer')), [balancer(ids.failed)]);
  assert.equal(keysOf(await pages.get('/debug/?kind=load-balancer&state=ACTIVE')), [balancer(ids.active)]);
  assert.is(keysOf(await pages.get('/debug/?kind=amphora&state=booting')).length, 1);
  assert.equal(keysOf(await pages.get('/debug/?node=node+%3C1%3E')), keysOf(all));
  assert.equal(keysOf(await pages.get('/debug/?node=nobody')), []);
  assert.equal(keysOf(await pages.get('/debug/?age=3600')), []);
  assert.equal(keysOf(await pages.get('/debug/?age=0&state=&kind=')), keysOf(all));
  assert.match(all.text, /data-count="load-balancer\/ERROR"[^>]*>ERROR <b>1<\/b>/);
  assert.match(all.text, /data-count="amphora\/booting"[^>]*>booting <b>1<\/b>/);
  assert.match(all.text, /Nova said: &lt;no valid host&gt; &amp; no VF/);
  assert.match(all.text, /<td data-label="node">node &lt;1&gt;<\/td>/);
  for (const query of ['kind=frog', 'partition=64', 'age=-1', 'error=x', 'after=yesterday', 'state=%00'])
    assert.is((await pages.get(`/debug/?${query}`)).status, 400, query);
});

test('a long list has pages, which together hold every actor once', async () => {
  const { db } = pages.runtime;
  const all = await listActors(db, {}, undefined, 1_000);
  const seen: string[] = [];
  let after: ListQuery['after'];
  for (;;) {
    const page = await listActors(db, {}, after, 2);
    seen.push(...page.map(({ id }) => id));
    const last = page.at(-1);
    if (last === undefined) break;
    after = { since: last.since, id: last.id };
  }
  assert.equal(
    seen,
    all.map(({ id }) => id),
  );
  const middle = all[1];
  const next = await pages.get(`/debug/?after=${middle?.since}_${middle?.id}`);
  assert.is(keysOf(next).length, all.length - 2);
  assert.match(next.text, /rel="first" href="\/debug\/"/);
});

test('what a list is told while it is looked at is what it would find', async () => {
  const { db } = pages.runtime;
  const owners = await partitionOwners(db);
  const everyone = await listActors(db, {}, undefined, 1_000);
  const rows = await listedActors(db, everyone);
  const failures = ['ERROR', 'placementFailure'];
  const pick = <T>(...values: T[]): (T | undefined)[] => [undefined, ...values];
  let hits = 0;
  for (const kind of pick('amphora'))
    for (const state of pick('ACTIVE', 'booting'))
      for (const name of pick('node <1>', 'nobody'))
        for (const partition of pick(String(rows[0]?.partition)))
          for (const age of pick('3600'))
            for (const error of pick('failed', 'quarantined')) {
              const asked = Object.entries({ kind, state, node: name, partition, age, error });
              const given = asked.filter(([, value]) => value !== undefined) as [string, string][];
              const filter = filterOf(readListQuery(Object.fromEntries(given)), failures, owners);
              const found = (await listActors(db, filter, undefined, 1_000)).map(({ id }) => id);
              const told = rows.filter((row) => matches(row, filter)).map(({ id }) => id);
              assert.equal(told.sort(), found.sort(), JSON.stringify(given));
              hits += found.length;
            }
  assert.ok(hits > rows.length);
});

test('the page of an actor says why it failed, what runs, what waits, and to whom it belongs', async () => {
  const failed = await pages.get(pathOf(ids.failed));
  assert.is(failed.status, 200);
  assert.match(failed.text, /Why it failed:.*no place satisfies the request/is);
  assert.match(failed.text, /no_vf_left<\/code>: .*Nova said: &lt;no valid host&gt; &amp; no VF/);
  const booting = await pages.get(pathOf(ids.booting));
  assert.match(booting.text, /data-state="creating\.awaitingAmphorae"/);
  assert.match(booting.text, /create deadline of creating: <time/);
  const [, amphora] = /\/debug\/actors\/amphora\/([0-9a-f-]{36})/.exec(booting.text) ?? [];
  // On a busy machine its node may not answer in time, and then it is unknown.
  const its = await waitFor('the progress of the effect', 10, async () => {
    const page = await pages.get(pathOf(amphora ?? '', 'amphora'));
    return /await agent<\/th>\s*<td>1<\/td>\s*<td><time/.test(page.text) ? page : undefined;
  });
  assert.match(its.text, new RegExp(pathOf(ids.booting)));
});

test('what is no actor is a page that says so', async () => {
  const unknown = '6a8f2c1e-0000-4000-8000-000000000000';
  for (const path of [pathOf(unknown), pathOf('no-uuid'), pathOf(ids.active, 'frog')]) {
    for (const below of ['', '/events', '/log']) {
      const page = await pages.get(`${path}${below}`);
      assert.is(page.status, 404, `${path}${below}`);
      assert.match(page.headers.get('content-type') ?? '', /text\/html/);
    }
  }
});

test('a quarantined actor is shown as such with the reason, and with what waits for it', async () => {
  const { db, mailbox, createLoadBalancer, waitFor: until } = pages.runtime;
  const id = await createLoadBalancer();
  await until(id, ['ACTIVE']);
  await node?.close();
  const { snapshot } = await db
    .selectFrom('actors')
    .select('snapshot')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const store = (value: object) =>
    db
      .updateTable('actors')
      .set({ snapshot: JSON.stringify(value) })
      .where('id', '=', id)
      .execute();
  await store({ ...snapshot, value: 'LOST' });
  node = await pages.runtime.startNode('node <1>');
  const envelope = await db
    .transaction()
    .execute((transaction) =>
      mailbox.send(transaction, { kind: 'load-balancer', id, loadBalancerId: id }, { type: 'DELETE' }),
    );
  mailbox.publish(envelope);
  const page = await waitFor('the quarantine', 5, async () => {
    const shown = await pages.get(pathOf(id));
    return shown.text.includes('Quarantined.') ? shown : undefined;
  });
  assert.match(page.text, /The actor cannot go on:.*does not fit version \d+.*LOST/s);
  assert.match(page.text, /<code>DELETE<\/code> since/);
  assert.equal(keysOf(await pages.get('/debug/?error=quarantined')), [`load-balancer-${id}`]);

  await store(snapshot ?? {});
  const asked = await pages.post(`${pathOf(id)}/resume`, {});
  assert.match(asked.text, /Resume this actor\?.*name="confirmed" value="yes"/s);
  const done = await pages.post(`${pathOf(id)}/resume`, { confirmed: 'yes' });
  assert.is(done.status, 200);
  assert.match(done.text, /The actor took it/);
  assert.is(await until(id, ['DELETED']), 'DELETED');
});

const auditOf = (id: string) =>
  pages.runtime.db.selectFrom('actor_audit').selectAll().where('actor_id', '=', id).execute();

test('an event is sent when it was confirmed, and never for a page of somebody else', async () => {
  const path = `${pathOf(ids.failed)}/events`;
  const fields = { type: 'AMPHORA_ALIVE', attributes: '{"amphoraId":"<none>"}' };
  const asked = await pages.post(path, fields);
  assert.is(asked.status, 200);
  assert.match(asked.text, /&quot;amphoraId&quot;: &quot;&lt;none&gt;&quot;/);
  assert.equal(await auditOf(ids.failed), []);

  const confirmed = { ...fields, confirmed: 'yes' };
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    { origin: '', 'sec-fetch-site': 'same-site' },
  ])
    assert.is((await pages.post(path, confirmed, headers as unknown as Record<string, string>)).status, 403);
  assert.equal(await auditOf(ids.failed), []);

  const sent = await pages.post(path, confirmed);
  assert.is(sent.status, 200);
  const [entry, ...others] = await auditOf(ids.failed);
  assert.equal(others, []);
  assert.equal(
    [entry?.action, entry?.payload],
    ['inject', { event: { type: 'AMPHORA_ALIVE', amphoraId: '<none>' } }],
  );
  for (const [attributes, type] of [
    ['{', 'DELETE'],
    ['[]', 'DELETE'],
    ['{"a":{"b":{"c":1}}}', 'DELETE'],
    ['{}', 'EXPLODE'],
    ['{}', ''],
  ] as const)
    assert.is((await pages.post(path, { type, attributes, confirmed: 'yes' })).status, 400, attributes);
});

test('under keystone only administrators come in, by a token that a browser keeps for them', async () => {
  const keystone = await startFakeKeystone();
  const soon = { token_cache_seconds: 1 };
  const config = {
    ...loadConfig({}, {}),
    auth: 'keystone' as const,
    ...soon,
    ...accountSettings(keystone.url),
  };
  const { access, close } = await openAccess(config, pino({ level: 'silent' }));
  Object.assign(pages.dependencies, { access });
  Object.assign(pages.dependencies.config, soon);
  try {
    const away = await pages.get('/debug/');
    assert.equal([away.status, away.headers.get('location')], [303, '/debug/login']);
    for (const path of ['/debug/events?since=x', `${pathOf(ids.active)}/events`])
      assert.is((await pages.get(path, { accept: 'text/event-stream' })).status, 401, path);
    assert.is((await pages.post(`${pathOf(ids.active)}/resume`, { confirmed: 'yes' })).status, 401);
    assert.is((await pages.get('/debug/assets/debug.css')).status, 200);

    const logIn = async (person: Person | undefined) =>
      pages.post('/debug/login', { token: person ? ` ${await keystone.token(person)}\n` : 'made up' });
    assert.is((await logIn(undefined)).status, 401);
    const member = await logIn('alpha-member');
    assert.equal([member.status, member.headers.get('set-cookie')], [403, null]);
    assert.match(member.text, /Only administrators/);
    const foreign = { token: await keystone.token('operator') };
    assert.is((await pages.post('/debug/login', foreign, { origin: 'https://evil.example' })).status, 403);

    const entered = await logIn('operator');
    assert.equal([entered.status, entered.headers.get('location')], [303, '/debug/']);
    const set = entered.headers.get('set-cookie') ?? '';
    assert.match(set, /^amphorae_token=[^;]+; Path=\/debug; Expires=[^;]+; HttpOnly; SameSite=Strict$/);
    const cookie = set.split(';')[0] ?? '';
    const list = await pages.get('/debug/', { cookie });
    assert.is(list.status, 200);
    assert.match(list.text, /operator<\/span> <button>Log out/);
    assert.not.match(list.text, new RegExp(cookie.split('=')[1] ?? '-'));
    const behindTls = await pages.post('/debug/login', foreign, { 'x-forwarded-proto': 'https' });
    assert.match(behindTls.headers.get('set-cookie') ?? '', /; Secure/);

    const token = { 'x-auth-token': await keystone.token('operator') };
    assert.is((await pages.get(pathOf(ids.active), token)).status, 200);
    const stranger = { 'x-auth-token': await keystone.token('lb-admin') };
    assert.is((await pages.get('/debug/machines', stranger)).status, 403);

    await pages.post(`${pathOf(ids.active)}/resume`, { confirmed: 'yes' }, { cookie });
    assert.equal(
      (await auditOf(ids.active)).map(({ operator, action }) => [operator, action]),
      [['operator', 'resume']],
    );
    // A stream ends as soon as a request would be refused.
    const stream = await openEvents(`${pages.url}${pathOf(ids.active)}/events`, { cookie });
    await stream.until('parts');
    await keystone.revoke(cookie.slice('amphorae_token='.length));
    while ((await stream.next()) !== undefined);
    assert.is((await pages.get('/debug/', { cookie })).status, 303);
    const left = await pages.post('/debug/logout', {}, { cookie });
    assert.match(left.headers.get('set-cookie') ?? '', /^amphorae_token=; Max-Age=0; Path=\/debug/);
  } finally {
    Object.assign(pages.dependencies, { access: undefined });
    await close();
    await keystone.stop();
  }
});

test.run();
