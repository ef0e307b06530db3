// timeout: 300

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { simulate } from './simulation.ts';

test('with 2,000 seeds of faults nothing gets stuck, lost, leaked or done twice', async () => {
  assert.is(await run('--seeds', '2000'), '2000 passed, 0 failed\n');
});

test('a seed replays exactly', async () => {
  const trace = async (seed: number) => {
    const lines: string[] = [];
    await simulate({ seed, trace: (line) => lines.push(line) });
    return lines;
  };
  const first = await trace(7);
  assert.ok(first.length > 50);
  assert.equal(await trace(7), first);
  assert.not.equal(await trace(8), first);
});

async function run(...options: string[]): Promise<string> {
  const program = join(import.meta.dirname, 'run.ts');
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program, ...options]);
    return stdout;
  } catch (error) {
    // It ends with 1 when a seed fails, and says which.
    return (error as { stdout?: string }).stdout || String(error);
  }
}

test.run();
