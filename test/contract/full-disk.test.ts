// timeout: 180

import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { type LoadBalancer, type System, startSystem } from '../support/system.ts';

// PostgreSQL on a file system of its own that has no space left: root mounts it.

const MEBIBYTES = 112;

let disk: string;
let dataDir: string;
let system: System;
test.before(async () => {
  disk = mkdtempSync(join(tmpdir(), 'amphorae-disk-'));
  dataDir = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${MEBIBYTES}m,mode=0700`, 'tmpfs', disk]);
  symlinkSync(disk, join(dataDir, 'postgres'));
  system = await startSystem({ provider: 'noop', settings: { data_dir: dataDir } });
});
test.after(async () => {
  await system?.stop();
  execFileSync('umount', [disk]);
  rmSync(disk, { recursive: true });
  rmSync(dataDir, { recursive: true, force: true });
});

const filler = () => join(disk, 'filler');

/** Take all the space that is left. */
function fill(): void {
  const file = openSync(filler(), 'a');
  const kibibytes = Buffer.alloc(1024 * 4);
  try {
    for (;;) writeSync(file, kibibytes);
  } catch (error) {
    assert.is((error as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    closeSync(file);
  }
}

async function post(): Promise<string> {
  const { loadbalancer } = await system.api<{ loadbalancer: LoadBalancer }>(
    'POST',
    '/v2.0/lbaas/loadbalancers',
    { loadbalancer: { vip_network_id: '6f2c1b0e-6d6a-4d0c-9a1e-2f9d8f0f3a11' } },
  );
  return loadbalancer.id;
}

const log = () => readFileSync(join(dataDir, 'logs', 'node-1.log'), 'utf8');

test('on a full disk requests are told to come again, and what was accepted is done once there is space', async () => {
  assert.is((await system.waitFor(await post(), ['ACTIVE', 'ERROR'], 30_000)).provisioning_status, 'ACTIVE');
  fill();
  const accepted: string[] = [];
  const refusal = await waitFor('the disk to be full', 60, async () => {
    fill();
    const outcome = await post().catch((error: Error) => error);
    if (outcome instanceof Error) return outcome;
    accepted.push(outcome);
    return undefined;
  });
  assert.match(refusal.message, /503 The database is not available/);
  await waitFor('the log to say why', 20, async () => /No space left on device/.test(log()) || undefined);
  assert.ok(accepted.length > 0);

  rmSync(filler());
  for (const id of accepted) {
    assert.is((await system.waitFor(id, ['ACTIVE', 'ERROR'], 60_000)).provisioning_status, 'ACTIVE');
  }
  assert.is((await system.waitFor(await post(), ['ACTIVE', 'ERROR'], 30_000)).provisioning_status, 'ACTIVE');
  assert.not.match(log(), /"level":"fatal"|uncaught/i);
});

test.run();
