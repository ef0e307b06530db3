import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/** What `.ci/run` and everyone else rely on: the last line of the test runner, and that it always comes. */
const root = resolve(import.meta.dirname, '../..');

async function runFile(source: string): Promise<{ code: number; lastLine: string; output: string }> {
  const directory = mkdtempSync(join(root, 'test/unit/runner-'));
  writeFileSync(join(directory, 'sample.test.ts'), source);
  try {
    return await new Promise((done) => {
      execFile(
        process.execPath,
        ['scripts/test.ts', directory],
        { cwd: root, timeout: 30_000 },
        (error, stdout) => {
          done({
            code: Number(error?.code ?? 0),
            lastLine: stdout.trimEnd().split('\n').at(-1) ?? '',
            output: stdout,
          });
        },
      );
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const head = "import { test } from 'uvu';\nimport * as assert from 'uvu/assert';\n";

test('tests that pass are counted one by one', async () => {
  const { code, lastLine } = await runFile(`${head}test('a', () => {});\ntest('b', () => {});\ntest.run();`);
  assert.is(lastLine, '2 passed, 0 failed');
  assert.is(code, 0);
});

test('a test that fails is counted and its output shown', async () => {
  const source = `${head}test('a', () => {});\ntest('broken promise', () => assert.is(1, 2));\ntest.run();`;
  const { code, lastLine, output } = await runFile(source);
  assert.is(lastLine, '1 passed, 1 failed');
  assert.match(output, 'broken promise');
  assert.is(code, 1);
});

test('a file that crashes, runs no test, or skips one has failed', async () => {
  for (const source of [
    "throw new Error('crash');",
    head,
    `${head}test.skip('a', () => {});\ntest.run();`,
    `${head}test('a', () => process.exit(0));\ntest.run();`,
  ]) {
    const { code, lastLine } = await runFile(source);
    assert.is(lastLine, '0 passed, 1 failed');
    assert.is(code, 1);
  }
});

test('a file that hangs is ended with all it started', async () => {
  const pidFile = join(root, `test/unit/runner-${process.pid}.pid`);
  const source = `// timeout: 2
${head}import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
test('a', async () => {
  writeFileSync(${JSON.stringify(pidFile)}, String(spawn('sleep', ['600']).pid));
  setInterval(() => {}, 1_000);
  await new Promise(() => {});
});
test.run();`;
  try {
    const { lastLine, output } = await runFile(source);
    assert.is(lastLine, '0 passed, 1 failed');
    assert.match(output, 'no end after 2 s');
    assert.not(existsSync(`/proc/${readFileSync(pidFile, 'utf8')}/cwd`));
  } finally {
    rmSync(pidFile, { force: true });
  }
});

test('a path without tests is a failure, not a success', async () => {
  const { code, lastLine } = await new Promise<{ code: number; lastLine: string }>((done) => {
    execFile(process.execPath, ['scripts/test.ts', 'test/none'], { cwd: root }, (error, stdout) => {
      done({ code: Number(error?.code ?? 0), lastLine: stdout.trimEnd().split('\n').at(-1) ?? '' });
    });
  });
  assert.is(lastLine, '0 passed, 1 failed');
  assert.is(code, 1);
});

test('what a killed file left behind is removed', async () => {
  const source = `// timeout: 15
import { createNamespace } from '${root}/test/support/namespace.ts';
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
execFileSync('ip', ['link', 'add', 'tstbridge0', 'type', 'bridge']);
const namespace = await createNamespace('left', 'tstbridge0', ['192.0.2.9/24']);
console.log('made', namespace.name, mkdtempSync(join(tmpdir(), 'left-')));
process.exit(1);`;
  try {
    const { output } = await runFile(source);
    const [, name, directory] = /made (\S+) (\S+)/.exec(output) ?? [];
    assert.ok(name && directory, output);
    assert.not.ok(existsSync(`/run/netns/${name}`), 'the namespace is gone');
    assert.not.ok(existsSync(directory), 'so is the directory');
  } finally {
    execFileSync('ip', ['link', 'delete', 'tstbridge0'], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  }
});

test.run();
