import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { removeRemains, testDirectory } from './test-remains.ts';

/**
 * Runs test files (all of `test/`, or those under the paths given as arguments), each as a process of its own with a
 * time limit: uvu has none, and a file that hangs or leaves processes behind must not take the others with it. The last
 * line is `N passed, N failed`; a file that crashes, hangs, or runs no test counts as one failure.
 */
const root = resolve(import.meta.dirname, '..');

/** A file may ask for another limit in its first lines: `// timeout: 300`. */
const DEFAULT_TIMEOUT_SECONDS = 120;

/** These neither change this host nor measure time. All others have the machine to themselves. */
const SIDE_BY_SIDE = ['test/unit/', 'test/golden/'];
const SIDE_BY_SIDE_LIMIT = 2;

interface Outcome {
  passed: number;
  failed: number;
}

const running = new Set<number>();

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // all of it has ended
  }
}

async function runFile(file: string): Promise<Outcome> {
  const head = readFileSync(join(root, file), 'utf8').slice(0, 500);
  const timeoutSeconds = Number(/^\/\/ timeout: (\d+)$/m.exec(head)?.[1] ?? DEFAULT_TIMEOUT_SECONDS);
  const startedAt = Date.now();
  const directory = testDirectory();
  const child = spawn(process.execPath, [file], {
    cwd: root,
    detached: true, // leads a process group, which can be ended as a whole
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, TMPDIR: directory },
  });
  const pid = child.pid as number;
  running.add(pid);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    output += text;
  });

  let ending = '';
  const timer = setTimeout(() => {
    ending = `no end after ${timeoutSeconds} s`;
    endGroup(pid);
  }, timeoutSeconds * 1000);
  const closed = new Promise<void>((done) => child.once('close', () => done()));
  const code = await new Promise<number | NodeJS.Signals>((done) => {
    child.once('exit', (status, signal) => done(status ?? signal ?? 1));
  });
  clearTimeout(timer);
  endGroup(pid);
  running.delete(pid);
  // A process in a group of its own may have been left behind and hold the pipes open.
  const patience = new AbortController();
  await Promise.race([closed, pause(1_000, undefined, { signal: patience.signal })]);
  patience.abort();
  await removeRemains(directory, pid);

  const outcome = judge(output, ending, code);
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  const counts = `${outcome.passed} passed${outcome.failed ? `, ${outcome.failed} failed` : ''}`;
  write(
    `${outcome.failed ? 'FAIL' : 'ok  '} ${file}  ${counts}  ${seconds} s${outcome.reason ? `  (${outcome.reason})` : ''}`,
  );
  if (outcome.failed) write(output.trimEnd().replace(/^/gm, '     '));
  return outcome;
}

/** Read uvu's summary; a skipped test keeps no promise, so it counts as failed. */
function judge(output: string, ending: string, code: number | NodeJS.Signals): Outcome & { reason: string } {
  const count = (label: string) => Number(new RegExp(`^  ${label}: +(\\d+)`, 'm').exec(output)?.[1] ?? 0);
  const total = count('Total');
  const passed = count('Passed');
  if (ending) return { passed, failed: Math.max(1, total - passed), reason: ending };
  if (total === 0) return { passed, failed: 1, reason: code === 0 ? 'ran no test' : `ended with ${code}` };
  if (passed < total) return { passed, failed: total - passed, reason: '' };
  return {
    passed,
    failed: code === 0 ? 0 : 1,
    reason: code === 0 ? '' : `ended with ${code} after its tests`,
  };
}

async function runAll(files: string[], atOnce: number): Promise<Outcome[]> {
  const queue = [...files];
  const outcomes: Outcome[] = [];
  async function work(): Promise<void> {
    for (let file = queue.shift(); file !== undefined; file = queue.shift())
      outcomes.push(await runFile(file));
  }
  await Promise.all(Array.from({ length: atOnce }, work));
  return outcomes;
}

function write(text: string): void {
  process.stdout.write(`${text}\n`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    running.forEach(endGroup);
    process.exit(1);
  });
}

/** These need a cloud, which `npm run test:openstack` brings up: they run when they are asked for. */
const BY_NAME_ONLY = ['test/openstack/'];

const wanted = process.argv.slice(2).map((path) => relative(root, resolve(path)));
const files = globSync('test/**/*.test.ts', { cwd: root })
  .filter((file) =>
    wanted.length === 0
      ? !BY_NAME_ONLY.some((folder) => file.startsWith(folder))
      : wanted.some((path) => file === path || file.startsWith(`${path}/`)),
  )
  .sort();
const sideBySide = files.filter((file) => SIDE_BY_SIDE.some((folder) => file.startsWith(folder)));
const alone = files.filter((file) => !sideBySide.includes(file));

const outcomes = [...(await runAll(sideBySide, SIDE_BY_SIDE_LIMIT)), ...(await runAll(alone, 1))];
if (files.length === 0) write(`no test file matches ${wanted.join(' ') || 'test/**/*.test.ts'}`);
const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
const failed = files.length === 0 ? 1 : outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
write(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
