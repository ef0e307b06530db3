import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bundleCommand } from '../../scripts/bundle.ts';

const root = resolve(import.meta.dirname, '../..');
const directory = mkdtempSync(join(tmpdir(), 'amphorae-command-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const output = async (program: string, args: string[]) => (await promisify(execFile)(program, args)).stdout;

test('the command in parts finds its checkout, and does what its sources do', async () => {
  const parts = join(directory, 'parts');
  await bundleCommand(parts);
  // Default paths are printed; what the API and its pages are made of is read as soon as they are loaded.
  const help = (main: string) => output(process.execPath, [main, 'serve', '--help']);
  assert.is(await help(join(parts, 'main.js')), await help(join(root, 'src/cli/main.ts')));
  const texts = readdirSync(parts).map((name) => readFileSync(join(parts, name), 'utf8'));
  assert.ok(texts.some((text) => text.includes('new URL("./layout-worker.js", import.meta.url)')));
  assert.ok(texts.some((text) => text.includes('new URL("./agent.js", import.meta.url)')));
});

test("no part has zod's languages in it, nor loads all of node:http", () => {
  const french = /Entrée invalide/;
  assert.match(readFileSync(join(root, 'node_modules/zod/v4/locales/fr.js'), 'utf8'), french);
  for (const name of readdirSync(join(directory, 'parts'))) {
    const text = readFileSync(join(directory, 'parts', name), 'utf8');
    assert.not.match(text, french, name);
    assert.not.match(text, /(from|import) "(node:)?http"/, name);
  }
});

test('parts that are older than any source are passed over', async () => {
  const checkout = join(directory, 'checkout');
  const amphorae = join(checkout, 'bin/amphorae');
  const write = (path: string, secondsAgo: number, text = '') => {
    const file = join(checkout, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    touch(path, secondsAgo);
  };
  const touch = (path: string, secondsAgo: number) => {
    const time = Date.now() / 1000 - secondsAgo;
    utimesSync(join(checkout, path), time, time);
  };
  const chosen = async () => (await output(amphorae, [])).trim().slice(checkout.length + 1);

  mkdirSync(join(checkout, 'bin'), { recursive: true });
  cpSync(join(root, 'bin/amphorae'), amphorae);
  // Says which program it was to run.
  write('node_modules/node/bin/node', 0, '#!/bin/sh\nfor last; do :; done; echo "$last"\n');
  chmodSync(join(checkout, 'node_modules/node/bin/node'), 0o755);
  const sources = ['src/cli/main.ts', 'agent/main.ts', 'migrations/0001.ts', 'scripts/bundle.ts'];
  const others = ['package.json', 'node_modules/.package-lock.json'];
  for (const path of [...sources, ...others]) write(path, 60);
  for (const path of ['src', 'src/cli', 'agent', 'migrations']) touch(path, 60);
  assert.is(await chosen(), 'src/cli/main.ts');

  write('dist/main.js', 30);
  assert.is(await chosen(), 'dist/main.js');
  for (const path of [...sources, ...others]) {
    touch(path, 0);
    assert.is(await chosen(), 'src/cli/main.ts', path);
    touch(path, 60);
  }
  assert.is(await chosen(), 'dist/main.js');
  // Of a file that is gone, only its folder tells.
  rmSync(join(checkout, 'agent/main.ts'));
  assert.is(await chosen(), 'src/cli/main.ts');
});

test.run();
