import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';

/**
 * Compare a text with `test/golden/<name>`. Run the test with the argument `--update` to accept what it is now; the
 * difference is then for the review of the commit to judge.
 */
export function assertGolden(name: string, actual: string): void {
  const path = join(import.meta.dirname, '..', 'golden', name);
  if (process.argv.includes('--update')) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, actual);
  }
  assert.fixture(actual, readFileSync(path, 'utf8'), `differs from test/golden/${name}`);
}
