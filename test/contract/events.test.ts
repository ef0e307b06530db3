// timeout: 120
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type NatsConnection } from 'nats';
import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { natsOptions } from '../../src/actors/nats-url.ts';
import { openAccess } from '../../src/cli/serve/access.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { createApi } from '../../src/http/app.ts';
import { type ServedApi, serveApi } from '../../src/http/server.ts';
import type { StatusEvent } from '../../src/status/event.ts';
import { StatusFeed } from '../../src/status/feed.ts';
import { STREAM, StatusStream } from '../../src/status/stream.ts';
import { type EventSource, openEvents } from '../support/event-source.ts';
import { startFakeKeystone } from '../support/fake-keystone.ts';
import { accountSettings, type Person } from '../support/keystone.ts';
import { startTestNats, type TestNats } from '../support/nats.ts';
import { type Harness, startHarness } from './api-harness.ts';

/** `GET /v2/events`, served on a real stream. */
const log = pino({ level: 'silent' });
const limits = { maxAgeMs: 3_600_000, maxBytes: 2 ** 24 };

let harness: Harness;
let broker: TestNats;
let nats: NatsConnection;
let stream: StatusStream;
let sequence = 0;

test.before(async () => {
  harness = await startHarness();
  broker = await startTestNats();
  nats = await connect({ ...natsOptions(broker.url), maxReconnectAttempts: -1, reconnectTimeWait: 50 });
});
test.after(async () => {
  await nats.close();
  await broker.stop();
  await harness.stop();
});
test.before.each(async () => {
  const { streams } = await nats.jetstreamManager();
  await streams.delete(STREAM).catch(() => {});
  stream = new StatusStream(nats, limits);
  await stream.open();
});

test('a stream begins now, and every change comes within its scope and no other', () =>
  withApi({}, async ({ follow }) => {
    await append(3);
    const [balancer, listener] = [randomUUID(), randomUUID()];
    const all = await follow();
    const ready = await all.next();
    assert.equal([ready?.event, ready?.id, ready?.data], ['ready', 3, { position: 3 }]);
    const sources = {
      project: await follow('?project_id=other'),
      resource: await follow('?resource=listener&resource=pool'),
      object: await follow(`?id=${listener.toUpperCase()}`),
      balancer: await follow(`?loadbalancer_id=${balancer}`),
    };
    await append(
      { id: balancer, loadbalancer_id: balancer, resource: 'loadbalancer' },
      { id: listener, loadbalancer_id: balancer, resource: 'listener' },
      { project_id: 'other', resource: 'member' },
    );
    assert.equal(await positions(all, 3), [4, 5, 6]);
    assert.equal(await positions(sources.balancer, 2), [4, 5]);
    assert.equal(await positions(sources.object, 1), [5]);
    assert.equal(await positions(sources.resource, 1), [5]);
    assert.equal(await positions(sources.project, 1), [6]);
  }));

test('a client that comes again gets what it missed, each once, also while more happens', () =>
  withApi({}, async ({ follow }) => {
    await append(700);
    const writing = (async () => {
      for (let round = 0; round < 60; round += 1) await append(5);
    })();
    const seen: number[] = [];
    for (let after = 0; seen.length < 1000; after = seen.at(-1) ?? 0) {
      const source = await follow('', { 'last-event-id': String(after) });
      seen.push(...(await positions(source, Math.min(90, 1000 - seen.length))));
      source.close();
    }
    await writing;
    assert.equal(
      seen,
      Array.from({ length: 1000 }, (_, index) => index + 1),
    );
  }));

test('a filtered stream misses nothing either, and its client need not read again what is not for it', () =>
  withApi({ quietMs: 100 }, async ({ follow }) => {
    const id = randomUUID();
    for (let round = 0; round < 10; round += 1) await append(59, { id, resource: 'pool' });
    const missed = await follow(`?id=${id}&resource=pool`, { 'last-event-id': '60' });
    const wanted = Array.from({ length: 9 }, (_, index) => 120 + index * 60);
    assert.equal(await positions(missed, 9), wanted);
    await append(25);
    const others: unknown[] = [];
    await waitFor('a quiet stream to say how far it has come', 10, async () => {
      await missed.next(0.2).then(
        (event) => others.push(event),
        () => {},
      );
      return missed.lastId === 625 || undefined;
    });
    assert.equal(others, []);
  }));

test('a slow client is neither cut off nor kept in memory: it gets everything when it reads', () =>
  withApi({}, async ({ url }) => {
    const { hostname, port } = new URL(url);
    const socket = connectSocket(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(`GET /v2/events HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`);
    await once(socket, 'readable');
    // More than a subscriber may have waiting, and than the system has room for on the way.
    const padding = 'x'.repeat(3_000);
    for (let round = 0; round < 30; round += 1) await append(...Array(100).fill({ project_id: padding }));
    let text = '';
    for await (const chunk of socket) {
      text += chunk;
      if (text.includes('id: 3000\n')) break;
    }
    const ids = [...text.matchAll(/^id: (\d+)\nevent: status$/gm)].map(([, id]) => Number(id));
    assert.equal(
      ids,
      Array.from({ length: 3000 }, (_, index) => index + 1),
    );
  }));

test('NATS goes away and comes back: the stream says so, and nothing is missing', () =>
  withApi({}, async ({ follow }) => {
    const source = await follow();
    const filtered = await follow('?project_id=p');
    await append(2);
    assert.equal(await positions(source, 2), [1, 2]);
    await broker.restart(async () => {
      assert.match((await source.until('outage')).data.message, /comes later/);
      const refused = await follow().catch((error: Error) => error.message);
      assert.match(String(refused), /^503: .*Status events cannot be read/);
    });
    await source.until('resumed', 20);
    await append(3);
    assert.equal(await positions(source, 3), [3, 4, 5]);
    assert.equal(await positions(filtered, 5), [1, 2, 3, 4, 5]);
  }));

test('who asks for events that are not kept is told what to do', () =>
  withApi({}, async ({ follow }) => {
    await append(10);
    const { streams } = await nats.jetstreamManager();
    await streams.purge(STREAM, { seq: 6 });
    const refused = (after: string) =>
      follow('', { 'last-event-id': after }).then(
        () => 'accepted',
        (error: Error) => error.message,
      );
    assert.match(await refused('3'), /^410: .*"faultcode":"Client".*without Last-Event-ID, read the objects/);
    assert.match(await refused('11'), /^410/, 'the stream is younger than the client');
    assert.equal(await positions(await follow('', { 'last-event-id': '5' }), 5), [6, 7, 8, 9, 10]);
    assert.is(await refused('10'), 'accepted');
  }));

test('a stream that is made again ends what followed the old one', () =>
  withApi({}, async ({ follow }) => {
    await append(3);
    const source = await follow();
    const { streams } = await nats.jetstreamManager();
    await streams.delete(STREAM);
    stream = new StatusStream(nats, limits);
    await append(5);
    assert.match((await source.until('gone', 30)).data.message, /read the objects/);
    assert.is(await source.next(), undefined);
    const again = await follow();
    assert.is((await again.next())?.id, 5);
    await append(1);
    assert.equal(await positions(again, 1), [6]);
  }));

test('bad requests are refused in words', () =>
  withApi({}, async ({ follow }) => {
    const refused = async (query: string, headers: Record<string, string> = {}) =>
      String(await follow(query, headers).catch((error: Error) => error.message));
    assert.match(await refused('?resource=router'), /^400: .*field\/attribute resource.*'router'/);
    assert.match(await refused('?id=7'), /^400: .*field\/attribute id/);
    assert.match(await refused(`?id=${randomUUID()}&id=${randomUUID()}`), /^400: .*field\/attribute id/);
    assert.match(await refused('?colour=red'), /^400: .*Unknown parameter: colour/);
    assert.match(await refused('', { 'last-event-id': 'last' }), /^400: .*Last-Event-ID.*'last'/);
    assert.match(await refused('', { 'last-event-id': '-1' }), /^400/);
    assert.match(await refused('', { accept: 'application/json' }), /^406: .*text\/event-stream/);
    assert.ok(await follow('', { accept: 'text/html, text/event-stream' }));
  }));

test('there are so many streams and no more, and one that ends makes room', () =>
  withApi({ config: { event_streams: 2 } }, async ({ follow }) => {
    const [first] = [await follow(), await follow()];
    assert.match(String(await follow().catch((error: Error) => error)), /503: .*too many streams/);
    first.close();
    await waitFor('room for another', 5, () => follow());
  }));

test('a stream ends after its time, and at once when the process ends', async () => {
  await withApi({ config: { event_stream_seconds: 0.2 } }, async ({ follow }) => {
    const source = await follow();
    assert.is((await source.next())?.event, 'ready');
    assert.is(await source.next(2), undefined);
  });
  await withApi({}, async ({ follow, close }) => {
    const sources = await Promise.all(Array.from({ length: 20 }, () => follow()));
    const started = performance.now();
    await close();
    assert.ok(performance.now() - started < 2_000, 'open streams do not hold up the end');
    for (const source of sources) {
      assert.is((await source.next())?.event, 'ready');
      assert.is(await source.next(), undefined);
    }
  });
});

test('two hundred clients cost one reader, and each gets each event', () =>
  withApi({}, async ({ follow }) => {
    const sources = await Promise.all(Array.from({ length: 200 }, () => follow()));
    const manager = await nats.jetstreamManager();
    assert.is((await manager.streams.info(STREAM)).state.consumer_count, 1);
    await append(20);
    const all = Array.from({ length: 20 }, (_, index) => index + 1);
    for (const source of sources) assert.equal(await positions(source, 20), all);
  }));

test('under Keystone a member sees its own project, without amphorae; an administrator all', async () => {
  const keystone = await startFakeKeystone();
  const config: Config = {
    ...loadConfig({}, {}),
    ...accountSettings(keystone.url),
    auth: 'keystone',
    token_cache_seconds: 0.1,
    event_streams_per_project: 3,
  };
  const opened = await openAccess(config, log);
  try {
    await withApi({ config, access: opened.access }, async ({ follow }) => {
      const as = async (person: Person, query = '') => {
        const token = await keystone.token(person);
        return { token, source: await follow(query, { 'x-auth-token': token }) };
      };
      const refused = (person: Person, query = '') =>
        as(person, query).then(
          () => 'accepted',
          (error: Error) => error.message,
        );
      const { alpha, beta } = keystone.projects;
      const member = await as('alpha-member');
      const admin = await as('operator');
      assert.match(await refused('alpha-member', `?project_id=${beta}`), /^403/);
      assert.match(await refused('alpha-member', '?resource=amphora'), /^403/);
      assert.match(await refused('alpha-stranger'), /^403/);
      assert.match(String(await follow().catch((error: Error) => error)), /401/);
      const reader = await as('alpha-reader', `?project_id=${alpha}`);

      await append({ project_id: beta }, { project_id: alpha, resource: 'amphora' }, { project_id: alpha });
      assert.equal(await positions(member.source, 1), [3]);
      assert.equal(await positions(reader.source, 1), [3]);
      assert.equal(await positions(admin.source, 3), [1, 2, 3]);

      assert.is(await refused('alpha-member'), 'accepted');
      assert.match(await refused('alpha-member'), /^429: .*No more than 3 streams/);

      await keystone.revoke(member.token);
      await pause(config.token_cache_seconds * 1000);
      await append({ project_id: alpha });
      assert.is(await member.source.next(), undefined, 'a revoked token gets no more events');
      assert.equal(await positions(reader.source, 1), [4]);
    });
  } finally {
    await opened.close();
    await keystone.stop();
  }
});

interface Served {
  url: string;
  follow(query?: string, headers?: Record<string, string>): Promise<EventSource>;
  close(): Promise<void>;
}

/** Serve the API, as a process of the control plane does it. */
async function withApi(
  options: {
    config?: Partial<Config>;
    access?: Harness['dependencies']['access'];
    quietMs?: number;
  },
  work: (served: Served) => Promise<void>,
): Promise<void> {
  const ending = new AbortController();
  const statusFeed = new StatusFeed(nats, log, options.quietMs);
  const { dependencies } = harness;
  const app = createApi({
    ...dependencies,
    config: { ...dependencies.config, ...options.config },
    access: options.access,
    statusFeed,
    ending: ending.signal,
  });
  const server: ServedApi = await serveApi(app, '127.0.0.1:0');
  const sources: EventSource[] = [];
  let closed: Promise<void> | undefined;
  const close = () => {
    ending.abort();
    closed ??= server.close();
    return closed;
  };
  try {
    await work({
      url: server.url,
      close,
      async follow(query = '', headers = {}) {
        const source = await openEvents(`${server.url}/v2/events${query}`, headers);
        sources.push(source);
        return source;
      },
    });
  } finally {
    for (const source of sources) source.close();
    await close();
    statusFeed.close();
  }
}

/** Put events on the stream: so many, or these. */
async function append(...given: (number | Partial<StatusEvent>)[]): Promise<void> {
  const wanted = given.flatMap((each) =>
    typeof each === 'number' ? Array.from({ length: each }, (): Partial<StatusEvent> => ({})) : [each],
  );
  const events = wanted.map((event): StatusEvent => {
    sequence += 1;
    return {
      ...{ sequence, time: new Date().toISOString(), resource: 'pool', revision: 1, old: null, new: null },
      ...{ id: randomUUID(), project_id: 'p', loadbalancer_id: randomUUID() },
      ...event,
    };
  });
  await stream.append(events, false);
}

/** Ids of the next events. */
async function positions(source: EventSource, count: number): Promise<number[]> {
  const ids: number[] = [];
  while (ids.length < count) {
    const { id } = await source.until('status');
    ids.push(id);
  }
  return ids;
}

test.run();
