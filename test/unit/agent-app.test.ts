import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createApp } from '../../agent/app.ts';
import { EpochFence } from '../../agent/epoch.ts';
import { EPOCH_HEADER } from '../../src/amphora-api/headers.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-agent-app-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

let effects = 0;

/** An application that a restarted agent would make: nothing is remembered but what is on disk. */
async function start() {
  const app = createApp({
    fence: await EpochFence.load(directory),
    log: pino({ level: 'silent' }),
    routes: [
      ['GET', '/state', (context) => context.json({ effects })],
      ['PUT', '/state', (context) => context.json({ effects: ++effects })],
      [
        'PUT',
        '/defect',
        () => {
          throw new TypeError('a defect');
        },
      ],
    ],
  });
  return async (method: string, path: string, epoch?: string, body?: string) => {
    const headers = epoch === undefined ? {} : { [EPOCH_HEADER]: epoch };
    const response = await app.request(path, { method, headers, body: body ?? null });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
}

test('without any epoch everything is obeyed, so that an Octavia controller can drive a fresh agent', async () => {
  const call = await start();
  assert.is((await call('PUT', '/state')).status, 200);
  assert.is(effects, 1);
});

test('a lower epoch than the highest has no effect, also after a restart', async () => {
  const call = await start();
  assert.is((await call('PUT', '/state', '9')).status, 200);
  assert.is((await call('PUT', '/state', '9')).status, 200);
  for (const again of [call, await start()]) {
    const before = effects;
    const refused = await again('PUT', '/state', '8');
    assert.is(refused.status, 412);
    assert.is(refused.body.code, 'stale_epoch');
    assert.is((await again('PUT', '/state')).status, 412, 'no epoch');
    assert.is((await again('GET', '/state', '8')).status, 412);
    assert.is((await again('GET', '/state')).status, 200, 'anyone may look');
    assert.is(effects, before);
  }
  assert.is((await call('PUT', '/state', '10')).status, 200, 'epochs are numbers, not texts');
});

test('an epoch that is no number is refused', async () => {
  const call = await start();
  for (const epoch of ['-1', '1e9', '0x10', '', '9'.repeat(21)]) {
    assert.is((await call('PUT', '/state', epoch)).status, 400, epoch);
  }
});

test('errors of the framework have its body', async () => {
  const call = await start();
  const error = async (...request: Parameters<typeof call>) => (await call(...request)).body;
  assert.equal(await error('GET', '/nowhere'), { error: 'Not found', http_code: 404 });
  assert.equal(await error('DELETE', '/state', '10'), { error: 'Method not allowed', http_code: 405 });
  assert.equal(await error('PUT', '/defect', '10'), { error: 'a defect', http_code: 500 });
  const huge = 'x'.repeat(17 * 1024 * 1024);
  assert.equal(await error('PUT', '/state', '10', huge), { error: 'Body too large', http_code: 413 });
});

test.run();
