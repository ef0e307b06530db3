// timeout: 120

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { NatsControl } from '../../src/actors/nats-control.ts';
import type { Node } from '../../src/actors/node.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { loadConfig } from '../../src/config.ts';
import { createApi } from '../../src/http/app.ts';
import { type ServedApi, serveApi } from '../../src/http/server.ts';
import { PARTITIONS, partitionOf } from '../../src/machines/address.ts';
import { hanging } from '../support/hanging.ts';
import { type NodeTestOptions, type Runtime, startRuntime } from '../support/runtime.ts';

// Nodes that are listed, pinged, drained and resumed, by REST and by command.

// biome-ignore lint/suspicious/noExplicitAny: tests reach into answers of many shapes.
type Any = any;

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const PATH = '/v2.0/amphorae/nodes';
const log = pino({ level: 'silent' });
/** Renewals come every 20 s: what happens sooner was brought about by control. */
const LEASE_SECONDS = 60;
const SOON_SECONDS = 10;

let runtime: Runtime;
let app: ReturnType<typeof createApi>;
let api: ServedApi;
const nodes: Node[] = [];
test.before(async () => {
  runtime = await startRuntime();
  const { db, mailbox, nats, provider } = runtime;
  const control = new NatsControl(nats, { node: 'api', version: 'test' }, log);
  const config = { ...loadConfig({}, {}), lease_seconds: LEASE_SECONDS };
  app = createApi({ db, mailbox, network: provider.network, config, control, log });
  api = await serveApi(app, '127.0.0.1:0');
});
test.after.each(async () => {
  for (const node of nodes.splice(0)) await node.close();
  await runtime.db.deleteFrom('nodes').execute();
});
test.after(async () => {
  await api?.close();
  await runtime?.stop();
});

async function start(name: string, options: NodeTestOptions = {}): Promise<Node> {
  const node = await runtime.startNode(name, { leaseMs: LEASE_SECONDS * 1000, ...options });
  nodes.push(node);
  return node;
}

async function call(status: number, method: string, path = ''): Promise<Any> {
  const response = await fetch(`${api.url}${PATH}${path}`, {
    method,
    headers: { 'x-amphorae-operator': 'alice' },
  });
  const text = await response.text();
  assert.is(response.status, status, `${method} ${path}: ${text}`);
  return JSON.parse(text);
}

/** Every node with its state and how many partitions it holds, once that is as wanted. */
const until = (wanted: Record<string, [state: string, partitions: number]>) => {
  let last: Any;
  return waitFor('the nodes to be as wanted', SOON_SECONDS, async () => {
    last = await call(200, 'GET');
    const seen = Object.fromEntries(last.nodes.map((node: Any) => [node.id, [node.state, node.partitions]]));
    return JSON.stringify(seen) === JSON.stringify(wanted) ? last : undefined;
  }).catch((error) => assert.unreachable(`${error.message}: ${JSON.stringify(last)}`));
};

test('all live nodes answer a ping; one that has died is silent', async () => {
  await start('first');
  await start('second');
  await runtime.db
    .insertInto('nodes')
    .values({ id: 'dead', seen_at: new Date(Date.now() - 2 * LEASE_SECONDS * 1000) })
    .execute();
  const id = await runtime.createLoadBalancer();
  await runtime.waitFor(id, ['ACTIVE']);
  const { nodes: listed, free_partitions } = await call(200, 'GET');
  assert.is(free_partitions, 0);
  const [dead, first, second] = listed;
  assert.equal([dead.id, dead.state, dead.answers, dead.actors], ['dead', 'silent', false, null]);
  assert.equal([first.id, first.state, first.answers, first.version], ['first', 'working', true, 'test']);
  assert.ok(Date.parse(first.since) <= Date.now());
  assert.is(first.actors + second.actors, 2);
  assert.is(first.partitions + second.partitions, PARTITIONS);
});

test('a node that is drained hands everything over at once, unfinished work too, and takes nothing back until it is resumed', async () => {
  const drained = await start('drained', { effects: hanging('awaitAgent') });
  const id = await runtime.createLoadBalancer();
  await waitFor('an effect to run', SOON_SECONDS, async () => {
    const [node] = (await call(200, 'GET')).nodes;
    return node.effects === 1 ? true : undefined;
  });
  await start('other');
  const { node } = await call(202, 'POST', '/drained/drain');
  assert.equal([node.id, node.draining], ['drained', true]);
  assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE');
  const [left] = (await until({ drained: ['drained', 0], other: ['working', PARTITIONS] })).nodes;
  assert.equal([left.answers, left.actors, left.effects], [true, 0, 0]);

  // Not even where there is something to be had.
  await runtime.db
    .updateTable('partitions')
    .set({ owner: null, lease_until: '-infinity' })
    .where('id', '=', partitionOf(id))
    .execute();
  await call(202, 'POST', '/drained/drain');
  await until({ drained: ['drained', 0], other: ['working', PARTITIONS] });
  assert.is(drained.epochOf(partitionOf(id)), undefined);

  await call(202, 'POST', '/drained/resume');
  await until({ drained: ['working', PARTITIONS / 2], other: ['working', PARTITIONS / 2] });
  const { audit } = await call(200, 'GET', '/../actors/audit?limit=3');
  assert.equal(
    audit.map(({ operator, action, payload }: Any) => [operator, action, payload]),
    [
      ['alice', 'drain-node', { node: 'drained', draining: false }],
      ['alice', 'drain-node', { node: 'drained', draining: true }],
      ['alice', 'resume-node', { node: 'drained', draining: true }],
    ],
  );
});

test('the last node that works cannot be drained, nor one that nobody knows', async () => {
  await start('first');
  const only = /only one that works/;
  assert.match((await call(409, 'POST', '/first/drain')).faultstring, only);
  await start('second');
  const answers = await Promise.all(
    ['first', 'second'].map((name) => fetch(`${api.url}${PATH}/${name}/drain`, { method: 'POST' })),
  );
  assert.equal(answers.map(({ status }) => status).sort(), [202, 409]);
  for (const verb of ['drain', 'resume']) {
    const { faultstring } = await call(404, 'POST', `/${encodeURIComponent('no such.node*')}/${verb}`);
    assert.is(faultstring, 'Node no such.node* not found.');
  }
});

test('a node that is ended in order, drained or not, leaves at once, and works again when it comes back', async () => {
  await start('first');
  await start('second');
  await call(202, 'POST', '/first/drain');
  await until({ first: ['drained', 0], second: ['working', PARTITIONS] });
  await nodes.shift()?.close();
  await until({ second: ['working', PARTITIONS] });
  await start('first');
  await call(202, 'POST', '/second/resume');
  await until({ first: ['working', PARTITIONS / 2], second: ['working', PARTITIONS / 2] });
  await nodes.shift()?.close();
  await until({ first: ['working', PARTITIONS] });
});

test('without NATS no node answers, and each finds out with its next renewal', async () => {
  await start('first', { leaseMs: 3_000 });
  await start('second', { leaseMs: 3_000 });
  await runtime.broker.restart(async () => {
    await call(202, 'POST', '/first/drain');
    const { nodes: listed } = await until({ first: ['drained', 0], second: ['working', PARTITIONS] });
    assert.equal(
      listed.map(({ answers, actors }: Any) => [answers, actors]),
      [
        [false, null],
        [false, null],
      ],
    );
  });
  await waitFor('the nodes to answer again', SOON_SECONDS, async () => {
    const { nodes: listed } = await call(200, 'GET');
    return listed.every(({ answers }: Any) => answers) || undefined;
  });
});

test('nobody from another host may see or drain nodes', async () => {
  const incoming = { socket: { remoteAddress: '192.0.2.1', localAddress: '192.0.2.2' } };
  for (const [method, path] of [
    ['GET', PATH],
    ['POST', `${PATH}/first/drain`],
    ['POST', `${PATH}/first/resume`],
  ] as const) {
    const response = await app.request(path, { method }, { incoming });
    assert.is(response.status, 403, `${method} ${path}`);
  }
});

test('the command lists nodes, waits until one is drained, and resumes it', async () => {
  const command = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [main, 'nodes', ...args, '--url', api.url],
      {
        timeout: 30_000,
      },
    );
    return stdout;
  };
  await start('first');
  await start('second');
  assert.match(await command(), /^NODE +STATE +ANSWERS +PARTITIONS .*\nfirst +working +yes +64 /);
  assert.match(await command('drain', 'first'), /\nfirst +drained +yes +0 .*\nsecond +working +yes +\d+ /);
  const refused = await command('drain', 'second').catch(({ stderr }: { stderr: string }) => stderr);
  assert.match(refused, /409 Node second is the only one that works/);
  const { nodes: resumed } = JSON.parse(await command('resume', 'first', '--json'));
  assert.is(resumed[0].draining, false);
  const misused = await command('drain').catch(({ stderr }: { stderr: string }) => stderr);
  assert.match(misused, /expected \[list \| drain NODE \| resume NODE\]/);
});

test.run();
