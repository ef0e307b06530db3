import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bundleProgram } from '../../scripts/bundle.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-bundle-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

test('the agent is one file that needs nothing but Node.js', async () => {
  const file = join(directory, 'agent.mjs');
  await bundleProgram('agent/main.ts', file);
  const imported = [...readFileSync(file, 'utf8').matchAll(/^import .* from "([^"]+)";$/gm)].map(
    ([, name]) => name ?? '',
  );
  assert.ok(imported.length > 5);
  assert.equal(
    imported.filter((name) => !builtinModules.includes(name.replace(/^node:/, ''))),
    [],
  );
  const run = promisify(execFile)(process.execPath, [file, '--config', join(directory, 'missing')], {
    cwd: '/',
  });
  await run.then(
    () => assert.unreachable(),
    ({ stderr }: { stderr: string }) => assert.match(stderr, /cannot read the agent settings/),
  );
});

test.run();
