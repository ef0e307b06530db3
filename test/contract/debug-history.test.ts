// timeout: 120

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Hono } from 'hono';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ActorEvent } from '../../src/actors/interpreter.ts';
import { loadConfig } from '../../src/config.ts';
import { createApi } from '../../src/http/app.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

const HOSTILE = '</code><script>alert(1)</script>"&\'';

let runtime: Runtime;
let app: Hono;
/** A load balancer that could not be placed, and was then sent something strange. */
let failed: string;

test.before(async () => {
  runtime = await startRuntime();
  const { db, mailbox, provider } = runtime;
  app = createApi({
    ...{ db, mailbox, network: provider.network, config: loadConfig({}, {}) },
    log: pino({ level: 'silent' }),
  });
  await runtime.startNode('recorder');
  provider.failures.set(['createServer:placement']);
  failed = await runtime.createLoadBalancer();
  assert.is(await runtime.waitFor(failed, ['ERROR']), 'ERROR');
  await tell(failed, { type: HOSTILE });
});
test.after(() => runtime.stop());

test('every page forbids what is not ours, and is not kept by browsers', async () => {
  for (const path of ['/debug/machines', '/debug/machines/amphora', '/debug/nothing']) {
    const { headers } = await app.request(path);
    assert.match(headers.get('content-type') ?? '', 'text/html');
    assert.match(headers.get('content-security-policy') ?? '', "default-src 'self'");
    assert.match(headers.get('content-security-policy') ?? '', "frame-ancestors 'none'");
    assert.is(headers.get('cache-control'), 'no-store');
    assert.is(headers.get('x-content-type-options'), 'nosniff');
  }
});

test('a page has no style, script or handler inline, and names no other host', async () => {
  for (const path of ['/debug/machines', '/debug/machines/load-balancer']) {
    const page = await text(path);
    assert.not.match(page, /<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=/i);
    const links = [...page.matchAll(/\s(?:src|href)="([^"]*)"/g)].map(([, url]) => url ?? '');
    assert.ok(links.length > 5);
    assert.equal(
      links.filter((url) => !/^(\/(?!\/)|#)/.test(url)),
      [],
    );
  }
});

test('what a page links is served, with a tag by which browsers need it only once', async () => {
  const page = await text('/debug/machines');
  const [, path = ''] = /href="(\/debug\/assets\/debug\.css)"/.exec(page) ?? [];
  const first = await app.request(path);
  assert.is(first.headers.get('content-type'), 'text/css; charset=utf-8');
  const etag = first.headers.get('etag') ?? '';
  const again = await app.request(path, { headers: { 'If-None-Match': etag } });
  assert.equal([again.status, await again.text()], [304, '']);
  for (const name of ['chart.css', 'chart.js', 'replay.js', 'amphora.svg']) {
    assert.is((await app.request(`/debug/assets/${name}`)).status, 200, name);
  }
  assert.is((await app.request('/debug/assets/..%2fpage.ts')).status, 404);
});

test('the machines are shown with their deadlines and all their states in words', async () => {
  const page = await text('/debug/machines/load-balancer');
  assert.match(page, 'data-state="failingOver.settling"');
  assert.match(page, 'after 15 min');
  assert.match(page, 'when not restoring and failure is transient');
  assert.is((await app.request('/debug/machines/teapot')).status, 404);
});

test('the picture that a page shows is the one in the documents', async () => {
  const drawing = (svg: string) => svg.slice(svg.indexOf('<g class="state machine"'), svg.indexOf('</svg>'));
  const document = readFileSync(join(import.meta.dirname, '../../docs/machines/amphora.svg'), 'utf8');
  assert.is(drawing(await text('/debug/machines/amphora')), drawing(document));
});

test('the history has every event with what it changed, for programs', async () => {
  const { actor, events, earlier, problem } = await history();
  assert.equal([actor.id, actor.state, earlier, problem], [failed, 'ERROR', false, null]);
  assert.equal(
    events.map(({ version }) => version),
    events.map((_, index) => index + 1),
  );
  const told = events.find(({ event }) => event.type === 'AMPHORA_FAILED');
  assert.ok(told);
  assert.equal([told.from, told.to], ['creating.awaitingAmphorae', 'reverting.releasingAmphorae']);
  assert.equal(told.transitions, ['creating/AMPHORA_FAILED']);
  assert.ok(told.sinceMs !== undefined && told.sinceMs >= 0);
  const reason = told.differences?.find(({ path }) => path === 'error');
  assert.match(JSON.stringify(reason), 'told to fail create');
  const released = events.find(({ event }) => event.type === 'xstate.done.actor.releaseVip');
  assert.ok(released?.tookMs !== undefined && released.tookMs >= 0);
  assert.is(events.at(-1)?.handled, false);
});

test('the log says the same for people, the newest first, and escapes what others wrote', async () => {
  const log = await text(`${page()}/log`);
  const { events } = await history();
  const versions = [...log.matchAll(/<li data-version="(\d+)"/g)].map(([, version]) => Number(version));
  assert.equal(versions, events.map(({ version }) => version).reverse());
  assert.not.match(log, '<script>');
  assert.match(log, '&lt;script&gt;alert(1)');
  assert.match(log, 'ignored');
  assert.match(log, /started allocateVip/);
  assert.match(log, /sent RELEASE to <a href="\/debug\/actors\/amphora\/[-0-9a-f]{36}">amphora<\/a>/);
});

test('a part of the history can be asked for, by versions', async () => {
  const versions = async (query: string) => (await history(query)).events.map(({ version }) => version);
  const all = await versions('');
  assert.equal(await versions('?after=2'), all.slice(2));
  assert.equal(await versions('?before=3'), [1, 2]);
  assert.equal(await versions(`?after=${all.length}`), []);
  for (const query of ['?after=x', '?before=-1', '?version=1.5']) {
    assert.is((await app.request(`${page()}/history.json${query}`)).status, 400, query);
  }
});

test('of a long history the newest events are shown, or those around the one that was asked for', async () => {
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ERROR']);
  const messages = Array.from({ length: 120 }, (_, index) => ({ type: `N${index}` }));
  for (const message of messages.slice(0, -1)) await send(id, message);
  await tell(id, messages.at(-1) ?? { type: '' });
  const { events, earlier } = await history('', id);
  assert.equal([events.length, earlier], [100, true]);
  const newest = events.at(-1)?.version ?? 0;
  assert.is(events[0]?.version, newest - 99);
  const old = (await history('?version=3', id)).events.map(({ version }) => version);
  assert.equal([old[0], old.includes(3), old.at(-1)], [1, true, 52]);
});

test('where events are no longer kept, that is said', async () => {
  const { db } = runtime;
  const first = { actor_id: failed, version: 1 };
  const rows = await db
    .selectFrom('actor_events')
    .selectAll()
    .where('actor_id', '=', first.actor_id)
    .execute();
  await db.deleteFrom('actor_events').where('actor_id', '=', failed).where('version', '=', 1).execute();
  const { events, problem } = await history();
  assert.match(problem ?? '', /before version 2 are no longer kept/);
  assert.is(events.length, rows.length - 1);
  assert.ok(events.every(({ context }) => context === undefined));
});

test('an actor that nobody knows has no history', async () => {
  const unknown = `/debug/actors/load-balancer/${crypto.randomUUID()}`;
  for (const path of [`${unknown}/log`, `${unknown}/history.json`, '/debug/actors/load-balancer/x/log']) {
    assert.is((await app.request(path)).status, 404, path);
  }
});

interface History {
  actor: { id: string; state: string };
  events: {
    version: number;
    from: string;
    to: string;
    event: ActorEvent;
    handled: boolean;
    sinceMs?: number;
    tookMs?: number;
    transitions: string[];
    context?: object;
    differences?: { path: string }[];
  }[];
  earlier: boolean;
  problem: string | null;
}

function page(id = failed): string {
  return `/debug/actors/${loadBalancerMachine.id}/${id}`;
}

async function history(query = '', id = failed): Promise<History> {
  return (await app.request(`${page(id)}/history.json${query}`)).json() as Promise<History>;
}

async function text(path: string): Promise<string> {
  const answer = await app.request(path);
  assert.is(answer.status, 200, path);
  return answer.text();
}

async function send(id: string, event: { type: string }): Promise<void> {
  const { db, mailbox } = runtime;
  const address = { kind: 'load-balancer', id, loadBalancerId: id } as const;
  mailbox.publish(await db.transaction().execute((transaction) => mailbox.send(transaction, address, event)));
}

/** Send, and wait until it was processed. */
async function tell(id: string, event: { type: string }): Promise<void> {
  const { db, mailbox } = runtime;
  const address = { kind: 'load-balancer', id, loadBalancerId: id } as const;
  const { reply } = await mailbox.ask(
    (replyTo) =>
      db.transaction().execute((transaction) => mailbox.send(transaction, address, event, replyTo)),
    10_000,
  );
  assert.ok(reply);
}

test.run();
