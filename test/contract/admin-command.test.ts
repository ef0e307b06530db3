import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../../src/config.ts';
import { createApi } from '../../src/http/app.ts';
import { type ServedApi, serveApi } from '../../src/http/server.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const LOOPBACK = '127.0.0.1:0';

let runtime: Runtime;
let api: ServedApi;
test.before(async () => {
  runtime = await startRuntime();
  const { db, mailbox, provider } = runtime;
  const parts = { db, mailbox, network: provider.network, config: loadConfig({}, {}) };
  api = await serveApi(createApi({ ...parts, log: pino({ level: 'silent' }) }), LOOPBACK);
});
test.after(async () => {
  await api?.close();
  await runtime?.stop();
});

/** Run `amphorae actors ...`; resolves with what it printed, rejects when it failed. */
async function actors(...args: string[]): Promise<string> {
  const command = [main, 'actors', ...args, '--url', api.url];
  const { stdout } = await promisify(execFile)(process.execPath, command, { timeout: 30_000 });
  return stdout;
}

test('the command lists, shows, tells the history, injects, resumes and audits', async () => {
  const node = await runtime.startNode('commanded');
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);

  const listed = await actors('list', '--kind', 'load-balancer', '--state', 'ACTIVE');
  assert.match(listed, /^ID +KIND +STATE +FOR +PARTITION +NODE +QUARANTINED\n/);
  assert.match(listed, new RegExp(`\n${id}  load-balancer  ACTIVE  \\d+s +\\d+ +commanded  -\n$`));
  assert.is(JSON.parse(await actors('show', id)).snapshot.value, 'ACTIVE');
  assert.match(
    await actors('history', id, '--limit', '1'),
    /AMPHORA_SYNCED +creating.firewallSync +ACTIVE +rows settle/,
  );
  assert.match(await actors('history', id), /AMPHORA_PLUGGED .* sent SYNC to amphora\//);

  await actors('resume', id);
  await actors('inject', id, 'CHANGED', '--data', '{"revision":1,"memberPorts":false}');
  await runtime.waitFor(id, ['ACTIVE']);
  const unknown = await actors('inject', id, 'EXPLODE').catch(({ stderr }: { stderr: string }) => stderr);
  assert.match(unknown, /400 .*CHANGED, DELETE/);
  assert.match(
    await actors('audit'),
    new RegExp(`resume +load-balancer/${id} +{"quarantined":null}\n.* inject `),
  );
  await node.close();
});

test('the command lists, retries and drops dead letters', async () => {
  const id = '00000000-0000-4000-8000-000000000001';
  const letter = { id, partition: 0, actor_kind: 'amphora', actor_id: id, error: 'boom\nat line 1' };
  const created_at = new Date();
  await runtime.db
    .insertInto('dead_letters')
    .values({ ...letter, event: JSON.stringify({ type: 'SYNC' }), created_at })
    .execute();
  assert.match(await actors('dead-letters'), new RegExp(`amphora/${id} +SYNC +boom at line 1\n$`));
  const refused = await actors('dead-letters', 'retry', id).catch(({ stderr }: { stderr: string }) => stderr);
  assert.match(refused, /409 amphora .* has ended, or never was/);
  assert.is(await actors('dead-letters', 'drop', id), '');
  assert.is(await actors('dead-letters', 'list', '--json'), '[]\n');
});

test.run();
