import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

/** Where pictures of pages are left for people. */
const SCREENSHOTS = resolve(import.meta.dirname, '../../test-results/screenshots');

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Chromium must not talk to anybody but us, nor need a GPU, and root has no sandbox. */
const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
];

/** What a page has shown since it was loaded, one entry for each change. */
export interface Shown {
  /** The innermost state that was lit in the picture. */
  states: string[];
  /** Banners that were to be seen, by their ids. */
  banners: string[];
}

/** As axe describes it. */
interface Fault {
  id: string;
  impact: string;
  help: string;
  nodes: { target: string[] }[];
}

/** Chromium, and what must be true of every page that it shows. */
export interface TestBrowser {
  readonly context: BrowserContext;
  /** Open a page of the server and wait until it is live, if it can be. */
  open(path: string): Promise<Page>;
  /** What the page has shown so far. */
  shown(page: Page): Promise<Shown>;
  /** Serious and critical faults that axe finds, each in a line. */
  accessibilityFaults(page: Page): Promise<string[]>;
  screenshot(page: Page, name: string): Promise<void>;
  /** Errors of scripts and of the console so far. */
  readonly errors: string[];
  /** Hosts that were asked for anything. */
  readonly hosts: Set<string>;
  /** Let the connection, or what a page is about, be lost meanwhile: the console may say so. */
  allowingLoss<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export async function openBrowser(server: string): Promise<TestBrowser> {
  const browser: Browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  context.setDefaultTimeout(20_000);
  await context.addInitScript({ path: resolve(import.meta.dirname, 'browser-record.js') });
  const errors: string[] = [];
  const hosts = new Set<string>();
  let mayLose = false;
  const note = (text: string) => {
    if (!(mayLose && /net::ERR_|status of (404|50\d)/.test(text))) errors.push(text);
  };
  context.on('request', (request) => hosts.add(new URL(request.url()).host));
  context.on('weberror', (error) => note(String(error.error())));
  context.on('console', (message) => {
    if (message.type() === 'error') note(`${message.page()?.url()}: ${message.text()}`);
  });

  return {
    context,
    errors,
    hosts,
    async open(path) {
      const page = await context.newPage();
      await page.goto(`${server}${path}`);
      if ((await page.locator('[data-events]').count()) > 0)
        await page.locator('html[data-live="yes"]').waitFor({ timeout: 20_000 });
      return page;
    },
    shown: (page) => page.evaluate<Shown>('shown'),
    async accessibilityFaults(page) {
      await page.evaluate(axe);
      const { violations } = await page.evaluate<{ violations: Fault[] }>('axe.run()');
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ target }) => target)}`);
    },
    async screenshot(page, name) {
      mkdirSync(SCREENSHOTS, { recursive: true });
      await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
    },
    async allowingLoss(work) {
      mayLose = true;
      try {
        return await work();
      } finally {
        mayLose = false;
      }
    },
    close: () => browser.close(),
  };
}
