import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { settings } from '../../src/config.ts';

const amphorae = resolve(import.meta.dirname, '../../bin/amphorae');

interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

function run(
  args: string[],
  options: { program?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Result> {
  const { program = amphorae, cwd = '/', env = { PATH: process.env.PATH } } = options;
  return new Promise((done) => {
    execFile(program, args, { cwd, env, timeout: 20_000 }, (error, stdout, stderr) => {
      done({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr });
    });
  });
}

test('help names every command', async () => {
  const { code, stdout } = await run(['help']);
  assert.is(code, 0);
  for (const name of [
    'up',
    'down',
    'demo',
    'doctor',
    'network',
    'actors',
    'failovers',
    'nodes',
    'serve',
    'migrate',
    'agent',
  ]) {
    assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
  }
});

test('the command works from anywhere, also through a link', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  try {
    symlinkSync(amphorae, join(directory, 'amphorae'));
    const { code, stdout } = await run(['version'], { program: join(directory, 'amphorae'), cwd: directory });
    assert.is(code, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('help of a command has each of its settings with default and reason', async () => {
  const { stdout } = await run(['up', '--help']);
  assert.match(stdout, '--lease-seconds');
  assert.match(stdout, settings.lease_seconds.reason);
  assert.match(stdout, `Default: ${settings.lease_seconds.fallback}.`);
});

test('an unknown command or option, a wrong value, and a missing argument end with 2 and a reason', async () => {
  const cases: [string[], RegExp][] = [
    [['fly'], /unknown command fly/],
    [['up', '--fly'], /--fly/],
    [['up', '--nodes', '0'], /^amphorae: nodes: .*option --nodes/],
    [['network', 'create'], /expected create NAME/],
    [['actors', 'show'], /expected list \| show ID/],
    [['actors', 'constructor'], /expected list/],
    [['actors', 'inject', 'ID', 'DELETE', '--data', '[]'], /--data must be a JSON object/],
    [['network', 'create', 'web'], /--cidr/],
    [['network', 'create', 'web', '--cidr', '192.0.2.0/24', '--vlan', 'x'], /--vlan/],
    [['up', 'now'], /now/],
  ];
  for (const [args, reason] of cases) {
    const { code, stderr } = await run(args);
    assert.is(code, 2, args.join(' '));
    assert.match(stderr, reason);
    assert.not.match(stderr, /\n {4}at /);
  }
});

test('a failure that was foreseen ends with 1 and says what to do', async () => {
  const { code, stderr } = await run(['migrate']);
  assert.is(code, 1);
  assert.match(stderr, 'DATABASE_URL');
  const unreachable = await run(['network', 'list', '--url', 'http://127.0.0.1:1']);
  assert.is(unreachable.code, 1);
  assert.match(unreachable.stderr, 'is `amphorae up` running?');
});

test('down on a directory that does not exist has nothing to do', async () => {
  const { code, stdout } = await run(['down', '--data-dir', join(tmpdir(), 'amphorae-test-none')]);
  assert.is(code, 0);
  assert.match(stdout, 'nothing to remove');
});

test.run();
