// timeout: 180
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const amphorae = resolve(import.meta.dirname, '../../bin/amphorae');

interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

function run(args: string[], interruptWhen?: string): Promise<Result> {
  return new Promise((done) => {
    const child = execFile(amphorae, args, { timeout: 90_000 }, (error, stdout, stderr) => {
      done({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr });
    });
    child.stdout?.on('data', (text: string) => {
      if (interruptWhen && text.includes(interruptWhen)) child.kill('SIGINT');
    });
  });
}

/** What demos leave on the host if they leave anything. */
function traces(): string[] {
  const links = readdirSync('/sys/class/net').filter(
    (name) => name.startsWith('amp-demo-') || name.startsWith('ampn'),
  );
  const namespaces = existsSync('/run/netns')
    ? readdirSync('/run/netns').filter((name) => name.startsWith('demo-'))
    : [];
  return [
    ...links,
    ...namespaces,
    ...readdirSync(tmpdir()).filter((name) => name.startsWith('amphorae-demo-')),
  ].sort();
}

test('the demo ends with answers from both backends through the VIP, and leaves nothing', async () => {
  const before = traces();
  const { code, stdout, stderr } = await run(['demo']);
  assert.is(code, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /load balancer +ACTIVE, VIP 198\.51\.100\.\d+/);
  assert.match(stdout, /20 requests +web-1 █+ 10 +web-2 █+ 10/);
  assert.match(stdout, 'policy drop');
  assert.not.match(stdout, '\x1b');
  assert.equal(traces(), before);
});

test('an interrupted demo removes what it had made', async () => {
  const before = traces();
  const { code, stdout } = await run(['demo'], 'client and backends');
  assert.is(code, 1);
  assert.match(stdout, 'interrupted');
  assert.equal(traces(), before);
});

test('a demo that is kept goes on answering until it is taken down', async () => {
  const before = traces();
  const dataDir = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  try {
    const { code, stdout, stderr } = await run(['demo', '--keep', '--data-dir', dataDir]);
    assert.is(code, 0, stderr);
    const api = /list them +curl (\S+)/.exec(stdout)?.[1] ?? '';
    const { loadbalancers } = (await (await fetch(api)).json()) as {
      loadbalancers: { provisioning_status: string }[];
    };
    assert.equal(
      loadbalancers.map(({ provisioning_status }) => provisioning_status),
      ['ACTIVE'],
    );
    const [, client = '', vip = ''] = /ip netns exec (\S+) curl (\S+)/.exec(stdout) ?? [];
    const answer = await new Promise<string>((done, reject) => {
      execFile('ip', ['netns', 'exec', client, 'curl', '-s', '-m', '5', vip], (error, text) =>
        error ? reject(error) : done(text),
      );
    });
    assert.match(answer, /^web-[12]\n$/);
    const second = await run(['demo', '--data-dir', dataDir]);
    assert.is(second.code, 1);
    assert.match(second.stderr, 'is not empty');
  } finally {
    await run(['down', '--data-dir', dataDir]);
    if (existsSync(dataDir)) rmdirSync(dataDir);
  }
  assert.equal(traces(), before);
});

test.run();
