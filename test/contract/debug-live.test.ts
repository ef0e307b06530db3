// timeout: 120
import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Node } from '../../src/actors/node.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { TransientError } from '../../src/model/errors.ts';
import { type DebugPages, startDebugPages } from '../support/debug-pages.ts';
import { type Block, type EventSource, openEvents } from '../support/event-source.ts';

/** What pages are told while somebody looks at them. */
let pages: DebugPages;
const sources = new Set<EventSource>();
test.before(async () => {
  pages = await startDebugPages();
});
test.after(() => pages.stop());
test.after.each(async () => {
  for (const source of sources) source.close();
  sources.clear();
  await node?.close();
});

let node: Node | undefined;
const startNode = async (name: string, effects: (effects: Effects) => Effects = (all) => all) => {
  node = await pages.runtime.startNode(name, { effects });
  return node;
};

const follow = async (path: string, headers?: Record<string, string>): Promise<EventSource> => {
  const source = await openEvents(`${pages.url}/debug${path}`, headers);
  sources.add(source);
  return source;
};
const followActor = (id: string, kind = 'load-balancer', headers?: Record<string, string>) =>
  follow(`/actors/${kind}/${id}/events`, headers);

/** Events until one is as wanted, that one included. */
async function collect(source: EventSource, wanted: (block: Block) => boolean): Promise<Block[]> {
  const blocks: Block[] = [];
  for (;;) {
    const block = await source.next();
    if (block === undefined) throw new Error('the stream has ended');
    blocks.push(block);
    if (wanted(block)) return blocks;
  }
}

const partsWith = (name: string, text: RegExp) => (block: Block) =>
  block.event === 'parts' && text.test(block.data.parts[name] ?? '');

const send = (id: string, event: { type: string; [key: string]: unknown }) =>
  pages.runtime.db
    .transaction()
    .execute((transaction) =>
      pages.runtime.mailbox.send(transaction, { kind: 'load-balancer', id, loadBalancerId: id }, event),
    )
    .then((envelope) => pages.runtime.mailbox.publish(envelope));

const historyOf = async (id: string): Promise<[version: number, to: string][]> => {
  const rows = await pages.runtime.db
    .selectFrom('actor_events')
    .select(['version', 'to_state'])
    .where('actor_id', '=', id)
    .orderBy('version')
    .execute();
  return rows.map(({ version, to_state }) => [version, to_state]);
};

const hanging =
  (name: keyof Effects) =>
  (effects: Effects): Effects => ({
    ...effects,
    [name]: { ...effects[name], run: () => new Promise(() => {}) },
  });

test('an actor is followed from its first event on; each comes once and in order, however often the page comes again', async () => {
  const { runtime } = pages;
  await startNode('changing');
  const id = await runtime.createLoadBalancer();
  const changes = (async () => {
    for (let number = 0; number < 20; number += 1) {
      await send(id, { type: 'AMPHORA_ALIVE', amphoraId: randomUUID() });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();

  const seen: [number, string][] = [];
  let last = 0;
  for (let visit = 0; visit < 6; visit += 1) {
    const source = await followActor(id, 'load-balancer', last > 0 ? { 'last-event-id': String(last) } : {});
    for (let count = 0; count < 4; count += 1) {
      const { id: version, data } = await source.until('transition');
      assert.is(data.version, version);
      seen.push([version, data.to]);
      last = version;
    }
    source.close();
  }
  await changes;
  const end = await followActor(id, 'load-balancer', { 'last-event-id': String(last) });
  await runtime.waitFor(id, ['ACTIVE']);
  const all = await waitFor('the last event', 10, async () => {
    const history = await historyOf(id);
    const open = await runtime.db.selectFrom('messages').select('id').where('actor_id', '=', id).execute();
    return open.length === 0 && history.at(-1)?.[1] === 'ACTIVE' ? history : undefined;
  });
  const rest = await collect(
    end,
    ({ event, id: version }) => event === 'transition' && version === all.length,
  );
  for (const { event, id: version, data } of rest) if (event === 'transition') seen.push([version, data.to]);
  assert.equal(seen, all);
});

test('a page hears of its actor, of its family, of what runs and how far that has come', async () => {
  const { runtime } = pages;
  let attempts = 0;
  const gate = Promise.withResolvers<void>();
  await startNode('trying', (effects) => ({
    ...effects,
    awaitAgent: {
      retry: { attempts: 7, deadlineMs: 90_000, backoffMs: 20, maxBackoffMs: 20 },
      async run(input, context) {
        attempts += 1;
        if (attempts < 3) throw new TransientError('agent_away', 'nobody <answers>');
        await gate.promise;
        return effects.awaitAgent.run(input, context);
      },
    },
  }));
  const id = await runtime.createLoadBalancer();
  const balancer = await followActor(id);
  const blocks = await collect(balancer, partsWith('family', /booting/));
  const [, amphoraId] = /\/debug\/actors\/amphora\/([0-9a-f-]+)/.exec(blocks.at(-1)?.data.parts.family) ?? [];

  const amphora = await followActor(amphoraId ?? '', 'amphora');
  const trying = await collect(amphora, partsWith('effects', /3 of 7/));
  const { effects, timers } = Object.assign({}, ...trying.map(({ data }) => data.parts)) as Record<
    string,
    string
  >;
  assert.match(effects ?? '', /await agent.*1 min (29|30) s|await agent.*1 min \d+ s/s);
  assert.match(effects ?? '', /agent_away<\/code>: nobody &lt;answers&gt;/);
  assert.match(timers ?? '', /boot deadline of booting: <time/);
  gate.resolve();
  await collect(amphora, partsWith('summary', /ready/));
  await collect(balancer, partsWith('summary', /ACTIVE/));
});

test('what nobody says about an effect is unknown, not guessed', async () => {
  const { runtime } = pages;
  await startNode('dying', hanging('allocateVip'));
  const id = await runtime.createLoadBalancer();
  const source = await followActor(id);
  await collect(source, partsWith('effects', /1 of \d/));
  await node?.close();
  const { text } = await pages.get(`/debug/actors/load-balancer/${id}`);
  assert.match(text, /allocate vip<\/th>\s*<td><span class="soft">unknown: its node does not say/);
  assert.match(text, /nobody has its partition/);
});

test('while NATS is away it is said, and then comes all that happened meanwhile, once', async () => {
  const { runtime } = pages;
  await startNode('sweeping');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);
  const before = await historyOf(id);
  const actor = await followActor(id, 'load-balancer', { 'last-event-id': String(before.length) });
  const list = await follow(`/events?since=${new Date().toISOString().replace('Z', '000Z')}`);
  for (const source of [actor, list]) assert.equal((await source.until('bus')).data, { up: true });

  await runtime.broker.restart(async () => {
    for (const source of [actor, list]) assert.equal((await source.until('bus')).data, { up: false });
    const page = await pages.get(`/debug/actors/load-balancer/${id}`);
    assert.match(page.text, /<p class="banner" id="bus" role="status">/);
    await send(id, { type: 'DELETE' });
    await runtime.waitFor(id, ['DELETED']);
  });
  const blocks = await collect(actor, partsWith('notices', /This actor has ended/));
  assert.ok(blocks.some(({ event, data }) => event === 'bus' && data.up));
  assert.equal(
    blocks.flatMap(({ event, data }) => (event === 'transition' ? [[data.version, data.to]] : [])),
    (await historyOf(id)).slice(before.length),
  );
  assert.equal((await list.until('bus')).data, { up: true });
  await list.until('refresh');
});

test('a list hears of actors that are as it wants them, and that others are so no more; and of the numbers', async () => {
  const { runtime } = pages;
  await startNode('listed', hanging('releaseAmphora'));
  const since = /data-now="([^"]+)"/.exec((await pages.get('/debug/')).text)?.[1] ?? '';
  const booted = await follow(`/events?kind=load-balancer&state=ACTIVE&since=${since}`);
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);
  const news = async (state: string) => {
    for (;;) {
      const { data } = await booted.until('rows');
      const row = data.find(
        ({ key, html }: { key: string; html: string }) =>
          key === `load-balancer-${id}` && html.includes(`>${state}<`),
      );
      if (row !== undefined) return row;
    }
  };
  const active = await news('ACTIVE');
  assert.is(active.matches, true);
  assert.match(active.html, new RegExp(`<tr id="load-balancer-${id}" data-version="${active.version}">`));
  const { data: counts } = await booted.until('counts');
  assert.ok(counts['load-balancer/ACTIVE'] >= 1 && counts.amphora >= 1);

  await send(id, { type: 'DELETE' });
  const deleting = await news('deleting.releasingAmphorae');
  assert.is(deleting.matches, false);
  assert.ok(deleting.version > active.version);

  // Who comes again is told what has changed since, also what was told before.
  const again = await follow(`/events?since=${since}`);
  const { data } = await again.until('rows');
  assert.ok(
    data.some(
      ({ key, version }: { key: string; version: number }) =>
        key === `load-balancer-${id}` && version === deleting.version,
    ),
  );
});

test('an actor that is removed while somebody looks is said to be gone', async () => {
  const { runtime } = pages;
  await startNode('removing');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);
  const source = await followActor(id);
  await collect(source, partsWith('summary', /ACTIVE/));
  await send(id, { type: 'DELETE' });
  await collect(source, partsWith('notices', /This actor has ended.*DELETED/s));
  await runtime.db.deleteFrom('actors').where('id', '=', id).execute();
  await runtime.broker.restart();
  await source.until('gone');
  assert.is(await source.next(), undefined);
  assert.is((await (await followActor(id, 'load-balancer', { 'last-event-id': '3' })).next())?.event, 'gone');
  const page = await pages.get(`/debug/actors/load-balancer/${id}`);
  assert.is(page.status, 404);
  assert.match(page.text, /It never was, or has ended and was removed/);
});

test('a server that ends does not wait for those who look', async () => {
  const [list] = [await follow(`/events?since=${new Date().toISOString().replace('Z', '000Z')}`)];
  await list.until('bus');
  const started = Date.now();
  await pages.close();
  assert.ok(Date.now() - started < 2_000);
  await waitFor('the end of the stream', 5, async () =>
    (await list.next()) === undefined ? true : undefined,
  );
});

test.run();
