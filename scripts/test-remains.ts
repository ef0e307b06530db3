import { execFile } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { removeNamespace } from '../src/cli/demo/namespace.ts';
import { programEnvironment } from '../src/config.ts';

const execute = promisify(execFile);
const amphorae = resolve(import.meta.dirname, '..', 'bin', 'amphorae');

/** A directory for one test file: what the file leaves behind is found in it. */
export function testDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'amphorae-run-'));
}

/**
 * Remove what a test file could not remove itself, because it was killed: systems that it brought up, with their amphorae
 * and bridges, and namespaces that it made. Quick when there is nothing.
 */
export async function removeRemains(directory: string, pid: number): Promise<void> {
  const systems = globSync('**/settings.json', { cwd: directory }).map((path) =>
    resolve(directory, path, '..'),
  );
  for (const system of systems) {
    await execute(amphorae, ['down', '--data-dir', system], { timeout: 120_000 }).catch((error: Error) =>
      process.stdout.write(`could not remove ${system}: ${error.message}\n`),
    );
  }
  if (existsSync('/run/netns')) {
    for (const name of globSync(`amphorae-test-${pid}-*`, { cwd: '/run/netns' })) {
      await removeNamespace(name, programEnvironment());
    }
  }
  rmSync(directory, { recursive: true, force: true });
}
