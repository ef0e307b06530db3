import { connect } from 'nats';
import pino from 'pino';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Envelope } from '../src/actors/bus.ts';
import { Mailbox } from '../src/actors/mailbox.ts';
import { NatsBus } from '../src/actors/nats-bus.ts';
import { natsOptions } from '../src/actors/nats-url.ts';
import { loadConfig } from '../src/config.ts';
import { createApi } from '../src/http/app.ts';
import { Live } from '../src/http/debug/live.ts';
import { serveApi } from '../src/http/server.ts';
import { createNoopProvider } from '../src/providers/noop/provider.ts';
import { openDatabase } from '../src/store/database.ts';
import { startNodeProcess } from './node-process.ts';
import { timed } from './requests.ts';
import { startServers, storeLoadBalancers, storeMessages, untilNoneIsLeft } from './servers.ts';
import { percentiles } from './statistics.ts';

/**
 * How soon an operator sees something: the list of so many actors in a browser, from the click until its first paint
 * (against an empty page of ours), and a transition, from the beginning of its commit until it is in the page, of the list and
 * of the actor (against the way of one message through the broker). `node bench/visualizer.ts [actors]`.
 */
const actors = Number(process.argv[2] ?? 5_000);
const LOADS = 15;
const TRANSITIONS = 40;

const servers = await startServers();
const closers: (() => Promise<unknown>)[] = [() => servers.stop()];
try {
  const { pool, publish } = servers;
  const node = await startNodeProcess({ servers, name: 'bench', effects: 'instant' });
  closers.push(() => node.kill());
  const envelopes = await storeLoadBalancers(pool, TRANSITIONS);
  publish(envelopes);
  const busy = `SELECT count(*)::int AS left FROM load_balancers WHERE provisioning_status <> 'ACTIVE'`;
  await untilNoneIsLeft(pool, busy, 100);
  await multiply(actors - 2 * TRANSITIONS);

  const url = await serve();
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags() });
  closers.push(() => browser.close());
  const ids = envelopes.slice(0, TRANSITIONS).map(({ actorId }) => actorId);
  const report = {
    benchmark: 'visualizer',
    actors,
    server: percentiles(await timed(LOADS, async () => (await fetch(`${url}/debug/`)).text())),
    first_paint: percentiles(await paints(browser, `${url}/debug/`)),
    floor_first_paint: percentiles(await paints(browser, `${url}/debug/nothing`)),
    ...(await screenLatencies(browser, url, ids)),
    floor_message: percentiles(await messageTimes()),
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
} finally {
  for (const close of closers.reverse()) await close();
}

/** More actors, each like one that there is, in a state since some time of the last days. */
async function multiply(count: number): Promise<void> {
  await servers.pool.query(
    `INSERT INTO actors (kind, id, partition, machine_version, xstate_version, state, snapshot, input, version, state_since)
     SELECT kind, gen_random_uuid(), partition, machine_version, xstate_version, state, snapshot, input, version,
       now() - random() * interval '3 days'
     FROM generate_series(1, $1::int) AS n
     JOIN (SELECT *, row_number() OVER () AS place, count(*) OVER () AS number FROM actors) AS model
       ON model.place = n % model.number + 1`,
    [count],
  );
  await servers.pool.query('VACUUM ANALYZE actors');
}

/** The API in this process, as a process of its own would have it. */
async function serve(): Promise<string> {
  const log = pino({ level: 'error' }, pino.destination(2));
  const { db, close } = openDatabase(servers.databaseUrl, { maxConnections: 8, applicationName: 'api' });
  const nats = await connect(natsOptions(servers.natsUrl));
  const ending = new AbortController();
  const app = createApi({
    ...{ db, log, mailbox: new Mailbox(new NatsBus(nats, log)), network: createNoopProvider().network },
    ...{ config: loadConfig({}, {}), live: new Live(nats, log), ending: ending.signal },
  });
  const server = await serveApi(app, '127.0.0.1:0');
  closers.push(
    close,
    () => nats.close(),
    () => server.close(),
    async () => ending.abort(),
  );
  return server.url;
}

/** As root, and without any business of the browser's own. */
function flags(): string[] {
  return [
    ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
    ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ];
}

/** First contentful paints of a page, each by a browser that has never seen it. */
async function paints(browser: Browser, address: string): Promise<number[]> {
  const times: number[] = [];
  for (let load = 0; load < LOADS; load += 1) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(address);
    const painted = await page.evaluate<number>(`new Promise((resolve) =>
      new PerformanceObserver((list) => {
        for (const { name, startTime } of list.getEntries()) if (name === 'first-contentful-paint') resolve(startTime);
      }).observe({ type: 'paint', buffered: true }))`);
    times.push(painted);
    await context.close();
  }
  return times;
}

interface Sight {
  id: string;
  version: number;
  at: number;
}

/** From the beginning of a commit, by the database's clock, until a browser on the same host shows it. */
async function screenLatencies(browser: Browser, url: string, ids: string[]) {
  const list = await watch(browser, `${url}/debug/`);
  const inList: number[] = [];
  const inActor: number[] = [];
  for (const id of ids) {
    const actor = await watch(browser, `${url}/debug/actors/load-balancer/${id}`);
    const [envelope] = (await storeMessages(servers.pool, [id], { type: 'DELETE' })) as [Envelope];
    servers.publish([envelope]);
    await actor.waitForSelector('[data-state="DELETED"].lit');
    await list.waitForSelector(`#load-balancer-${id} >> text=DELETED`);
    const { rows } = await servers.pool.query<{ version: number; at: Date }>(
      `SELECT version, at FROM actor_events WHERE actor_kind = 'load-balancer' AND actor_id = $1`,
      [id],
    );
    const committed = new Map(rows.map(({ version, at }) => [version, at.getTime()]));
    const since = (sights: Sight[]) =>
      sights
        .filter((sight) => sight.id === id)
        .map(({ version, at }) => at - (committed.get(version) ?? Number.NaN))
        .filter(Number.isFinite);
    inList.push(...since(await sightsOf(list)));
    inActor.push(...since(await sightsOf(actor)));
    await actor.close();
  }
  return { commit_to_list: percentiles(inList), commit_to_actor: percentiles(inActor) };
}

/** A page that notes when which version of an actor came into it. */
async function watch(browser: Browser, address: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(address);
  await page.waitForSelector('html[data-live="yes"]');
  await page.evaluate(`
    window.sights = [];
    const see = (id, version) => sights.push({ id: id.slice(-36), version: Number(version), at: Date.now() });
    new MutationObserver((records) => {
      for (const { target, addedNodes, type } of records) {
        if (type === 'attributes') see(location.pathname, target.dataset.version);
        for (const added of addedNodes) if (added.dataset) see(added.id, added.dataset.version);
      }
    }).observe(document.querySelector('#actor, #rows'), { childList: true, attributeFilter: ['data-version'] });
  `);
  return page;
}

function sightsOf(page: Page): Promise<Sight[]> {
  return page.evaluate('sights');
}

/** One message from one connection to another through the broker. */
async function messageTimes(): Promise<number[]> {
  const [sender, receiver] = await Promise.all([1, 2].map(() => connect(natsOptions(servers.natsUrl))));
  if (sender === undefined || receiver === undefined) throw new Error('no connection');
  let arrived = () => {};
  receiver.subscribe('bench.floor', { callback: () => arrived() });
  await receiver.flush();
  const times = await timed(200, () => {
    const arrival = Promise.withResolvers<void>();
    arrived = arrival.resolve;
    sender.publish('bench.floor');
    return arrival.promise;
  });
  await Promise.all([sender.close(), receiver.close()]);
  return times;
}
