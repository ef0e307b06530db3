// timeout: 300
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Locator, Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { type Stand, startStand, webListener } from '../support/stand.ts';

/** The visualizer as an operator sees it: in Chromium, with real amphorae. */
let stand: Stand;
let browser: TestBrowser;
/** A load balancer that is ACTIVE, and one that found no host. */
let balancer: string;
let failed: string;

test.before(async () => {
  stand = await startStand();
  browser = await openBrowser(stand.system.url);
});
test.after(async () => {
  await browser?.close();
  await stand?.stop();
});
test.after.each(async () => {
  for (const page of browser.context.pages()) await page.close();
  await browser.context.setOffline(false);
});

const pathOf = (id: string, kind = 'load-balancer') => `/debug/actors/${kind}/${id}`;

test('an actor goes through creation to ACTIVE, and the picture follows each state', async () => {
  await browser.open('/debug/machines'); // whose pictures are made when somebody asks first
  const flavor_id = await flavor('pair', { loadbalancer_topology: 'ACTIVE_STANDBY' });
  balancer = await stand.post({ name: 'shop', flavor_id, listeners: [webListener(stand)] });
  const page = await browser.open(pathOf(balancer));
  await stand.settled(balancer);
  await caughtUp(page, balancer);
  const [first = ''] = (await browser.shown(page)).states;
  const created = await statesOf(balancer, first);
  assert.ok(created.length >= 3, `too late to see anything: ${created}`);
  assert.equal(created.slice(-2), ['creating.firewallSync', 'ACTIVE']);
  assert.equal((await browser.shown(page)).states, created);

  await stand.system.api('POST', '/v2.0/lbaas/listeners', {
    listener: { loadbalancer_id: balancer, name: 'second', protocol: 'TCP', protocol_port: 81 },
  });
  await stand.settled(balancer);
  await caughtUp(page, balancer);
  assert.equal((await browser.shown(page)).states, await statesOf(balancer, first));
  assert.match(await textOf(page.locator('.log > li').first()), /→ ACTIVE/);
  assert.ok(
    (await page.locator('.chart [data-transition].last').count()) > 0,
    'the last transition is marked',
  );
});

test('a failed placement shows its reason in words, and the words of the provider', async () => {
  failed = await stand.post({ name: 'too-big', flavor_id: await flavor('huge', { compute_flavor: 'huge' }) });
  const page = await browser.open(pathOf(failed));
  await stand.settled(failed);
  await caughtUp(page, failed);
  const reason = await textOf(page.locator('#reason'));
  assert.match(reason, /no_valid_host/);
  assert.match(reason, /no host satisfies compute flavor huge/);
  assert.is((await browser.shown(page)).states.at(-1), 'ERROR');
  const list = await browser.open('/debug/?error=failed');
  assert.match(await textOf(list.locator('#rows')), /too-big.*ERROR.*no host satisfies/s);
});

test('the list shows a newcomer, and what becomes of it, by itself', async () => {
  const list = await browser.open('/debug/');
  const id = await stand.post({ name: 'newcomer' });
  const row = list.locator(`#load-balancer-${id}`);
  await row.waitFor();
  await stand.settled(id);
  await until('the row to be ACTIVE', async () => /ACTIVE/.test(await textOf(row)));
  assert.match(await textOf(row), /newcomer/);
  await stand.remove(id);
});

test('replay shows an earlier state, with what changed, and comes back to now; all by keyboard', async () => {
  const page = await browser.open(pathOf(balancer));
  const rows = await historyOf(balancer);
  await page.locator('#replay').focus();
  await page.keyboard.press('Home');
  assert.is(await textOf(page.locator('.replay output')), `After event 1: ${rows[0]?.to}`);
  assert.is((await browser.shown(page)).states.at(-1), rows[0]?.to);
  await page.keyboard.press('ArrowRight');
  assert.match(await textOf(page.locator('.replay output')), new RegExp(`^After event 2: ${rows[1]?.to}`));
  assert.ok((await page.locator('.log .differences li').count()) > 0, 'what it remembered is compared');

  // What happens meanwhile does not disturb who looks back.
  await rename('renamed');
  await caughtUp(page, balancer);
  assert.match(await textOf(page.locator('.replay output')), /^After event 2/);
  await page.keyboard.press('End');
  await until('the newest event', async () =>
    /^Now: ACTIVE/.test(await textOf(page.locator('.replay output'))),
  );
  assert.is((await browser.shown(page)).states.at(-1), 'ACTIVE');
});

test('a page that was offline, or lost its server, or whose server lost NATS, misses nothing and shows nothing twice', async () => {
  const page = await browser.open(pathOf(balancer));
  await browser.allowingLoss(async () => {
    await browser.context.setOffline(true);
    for (let number = 0; number < 3; number += 1) await rename(`offline-${number}`);
    await browser.context.setOffline(false);
    await caughtUp(page, balancer);

    stand.system.killController(1, 'SIGKILL');
    await rename('after its server died');
    await caughtUp(page, balancer);

    process.kill(stand.system.processes().get('nats-server') ?? 0, 'SIGKILL');
    await until('the page to say that NATS is away', async () =>
      (await browser.shown(page)).banners.includes('bus'),
    );
    await rename('while NATS was away');
    await caughtUp(page, balancer);
  });
  await page.locator('#bus').waitFor({ state: 'hidden' });
  const { banners } = await browser.shown(page);
  assert.ok(banners.includes('lost'), 'the page says when it has no server');
  const shown = await page
    .locator('.log > li')
    .evaluateAll((items) => items.map((item) => item.dataset.version));
  assert.equal(
    shown.toReversed(),
    (await historyOf(balancer)).map(({ version }) => String(version)),
  );
});

test('the keyboard alone is enough: to an actor, through its page, with the focus always to be seen', async () => {
  const page = await browser.open('/debug/');
  await page.keyboard.press('Tab');
  assert.is(await page.evaluate('document.activeElement.innerText'), 'Skip to the content');
  await page.keyboard.press('Enter');
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate<{ tag: string; href: string | null; outline: string }>(`({
      tag: document.activeElement.tagName,
      href: document.activeElement.getAttribute('href'),
      outline: getComputedStyle(document.activeElement).outlineStyle,
    })`);
    // Between the last element and the first one the browser's own have it.
    if (focus.tag !== 'BODY') assert.is.not(focus.outline, 'none', `no focus to be seen on ${focus.tag}`);
    if (focus.href === pathOf(balancer)) break;
  }
  await page.keyboard.press('Enter');
  await page.waitForURL(`**${pathOf(balancer)}`);
  const whole = page.getByRole('button', { name: 'Whole picture' });
  await whole.focus();
  await page.keyboard.press('Space');
  assert.is(await whole.getAttribute('aria-pressed'), 'true');
});

test('an actor that cannot be read is shown as quarantined, with the reason', async () => {
  const id = await stand.post({ name: 'unreadable' });
  await stand.settled(id);
  const before = await browser.open(pathOf(id));
  await stand.db
    .updateTable('actors')
    .set({ snapshot: sql`jsonb_set(snapshot::jsonb, '{value}', '"LOST"')` })
    .where('id', '=', id)
    .execute();
  await browser.allowingLoss(async () => {
    stand.system.killController(1, 'SIGKILL'); // which still has it in memory
    await retry(() =>
      stand.system.api('PUT', `/v2.0/lbaas/loadbalancers/${id}`, { loadbalancer: { name: 'x' } }),
    );
    await before.getByText('Quarantined.').waitFor({ timeout: 20_000 });
  });
  assert.match(await textOf(before.getByRole('alert')), /does not fit version \d+ .*LOST/);
  const list = await browser.open('/debug/?error=quarantined');
  assert.match(await textOf(list.locator('#rows')), /quarantined/);
});

const pages = (): [name: string, path: string][] => [
  ['list', '/debug/'],
  ['load-balancer', pathOf(balancer)],
  ['failed', pathOf(failed)],
  ['quarantined-list', '/debug/?error=quarantined'],
  ['machines', '/debug/machines'],
  ['machine', '/debug/machines/amphora'],
  ['not-found', pathOf(randomUUID())],
];

test('every page, light and dark, wide and narrow, has no serious fault of accessibility and does not overflow', async () => {
  const faults: string[] = [];
  const amphora = await stand.db
    .selectFrom('amphorae')
    .select('id')
    .where('load_balancer_id', '=', balancer)
    .executeTakeFirstOrThrow();
  // What is not there is answered with 404, which the console says.
  const expected = browser.errors.length;
  for (const [name, path] of [...pages(), ['amphora', pathOf(amphora.id, 'amphora')] as const]) {
    const page = await browser.open(path);
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: width === 390 ? 844 : 900 });
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        const shot = `${name}-${width}-${colorScheme}`;
        faults.push(...(await browser.accessibilityFaults(page)).map((fault) => `${shot}: ${fault}`));
        const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
        if (overflow > 0) faults.push(`${shot}: ${overflow} pixels too wide`);
        await browser.screenshot(page, shot);
      }
    }
    await page.close();
  }
  assert.equal(faults, []);
  const missing = browser.errors.splice(expected);
  assert.ok(
    missing.every((error) => /status of 404/.test(error)),
    missing.join('\n'),
  );
});

test('an actor that is deleted while it is watched: the page says so', async () => {
  const page = await browser.open(pathOf(failed));
  await stand.remove(failed);
  await page.getByText('This actor has ended').waitFor({ timeout: 20_000 });
  assert.is((await browser.shown(page)).states.at(-1), 'DELETED');
  // As housekeeping does a week later.
  await stand.db.deleteFrom('actors').where('id', '=', failed).execute();
  await browser.allowingLoss(async () => {
    stand.system.killController(1, 'SIGKILL');
    await page.locator('#gone').waitFor({ timeout: 20_000 });
  });
  assert.match(await textOf(page.locator('#gone')), /no longer there/);
  assert.ok(await page.locator('.log > li').count());
});

test('no page asked anybody else for anything, and none had an error', () => {
  assert.equal([...browser.hosts], [new URL(stand.system.url).host]);
  assert.equal(browser.errors, []);
});

async function flavor(name: string, data: object): Promise<string> {
  const call = <T>(path: string, body: object) => stand.system.api<T>('POST', `/v2.0/lbaas/${path}`, body);
  const { flavorprofile } = await call<{ flavorprofile: { id: string } }>('flavorprofiles', {
    flavorprofile: { name, provider_name: 'amphora', flavor_data: JSON.stringify(data) },
  });
  const { flavor } = await call<{ flavor: { id: string } }>('flavors', {
    flavor: { name, flavor_profile_id: flavorprofile.id },
  });
  return flavor.id;
}

interface Step {
  version: number;
  to: string;
}

async function historyOf(id: string): Promise<Step[]> {
  const rows = await stand.db
    .selectFrom('actor_events')
    .select(['version', 'to_state'])
    .where('actor_id', '=', id)
    .orderBy('version')
    .execute();
  return rows.map(({ version, to_state }) => ({ version, to: to_state }));
}

/** The states that it was in, one after the other, from this one on. */
async function statesOf(id: string, from: string): Promise<string[]> {
  const states = (await historyOf(id)).map(({ to }) => to);
  const changes = states.filter((state, index) => state !== states[index - 1]);
  return changes.slice(changes.indexOf(from));
}

/** Wait until the actor rests, and the page has heard all of it and shows it in its log. */
async function caughtUp(page: Page, id: string): Promise<void> {
  await until('the page to have it all', async () => {
    const last = (await historyOf(id)).at(-1);
    const newest = await page.locator('.log > li').first().getAttribute('data-version');
    return (
      String(last?.version) === newest &&
      (await page.locator('#actor').getAttribute('data-version')) === newest
    );
  });
}

/** Change the load balancer and wait until that is done. */
async function rename(name: string): Promise<void> {
  await retry(() =>
    stand.system.api('PUT', `/v2.0/lbaas/loadbalancers/${balancer}`, { loadbalancer: { name } }),
  );
  await retry(() => stand.settled(balancer));
}

/** Again and again while the server is away. */
function retry(work: () => Promise<unknown>): Promise<unknown> {
  return waitFor('the server to answer', 20, async () => (await work()) ?? true);
}

async function textOf(element: Locator): Promise<string> {
  return (await element.textContent()) ?? '';
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  await waitFor(what, 20, async () => (await holds()) || undefined);
}

test.run();
