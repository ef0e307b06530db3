import { connect } from 'node:net';
import { Hono } from 'hono';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../../src/config.ts';
import { serveApi } from '../../src/http/server.ts';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());
const PATH = '/v2/lbaas/loadbalancers';
const nested = (levels: number) => `{"loadbalancer": ${'['.repeat(levels)}${']'.repeat(levels)}}`;

test('bodies that are nested too deep, or have lists that are too long, are refused before they are looked at', async () => {
  await api.refuse(400, /nested deeper than 20/, 'POST', PATH, nested(30));
  await api.refuse(400, /nested deeper than 20/, 'POST', PATH, nested(500_000));
  await api.refuse(400, /more than 10000 entries/, 'POST', PATH, {
    loadbalancer: { tags: Array.from({ length: 10_001 }, () => 'x') },
  });
  const many = Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`a${index}`, 1]));
  await api.refuse(400, /more than 10000 entries/, 'POST', PATH, { loadbalancer: many });
});

/** Send bytes and keep the connection open; resolves with what came back when the server closes it. */
async function hold(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setTimeout(10_000, () => socket.destroy(new Error('the server did not close')));
  socket.write(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

test('a client that does not go on sending is given up', async () => {
  const app = new Hono().post('/', async (context) => context.text(await context.req.text()));
  const server = await serveApi(app, '127.0.0.1:0', { connections: 10, requestMs: 300 });
  try {
    assert.match(await hold(server.url, 'POST / HTTP/1.1\r\nHost: a\r\n'), /^HTTP\/1.1 408/);
    const body = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf';
    assert.match(await hold(server.url, body), /^HTTP\/1.1 408/);
  } finally {
    await server.close();
  }
});

test('connections beyond the limit are closed, and others are answered', async () => {
  const app = new Hono().get('/', (context) => context.text('here'));
  const server = await serveApi(app, '127.0.0.1:0', { connections: 2, requestMs: 5_000 });
  const held = [1, 2].map(() => connect(Number(new URL(server.url).port), '127.0.0.1'));
  try {
    await Promise.all(held.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    assert.is(await hold(server.url, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n').catch(() => ''), '');
    held.pop()?.destroy();
    const answer = await fetch(server.url).catch(() => fetch(server.url));
    assert.is(await answer.text(), 'here');
  } finally {
    for (const socket of held) socket.destroy();
    await server.close();
  }
});

test('a request that takes too long is answered all the same', async () => {
  const config = { ...loadConfig({}, {}), api_request_seconds: 0.2 };
  const slow = await startHarness({ config });
  const blocker = await slow.db.startTransaction().execute();
  try {
    const { id } = await slow.createLoadBalancer();
    await blocker.selectFrom('load_balancers').select('id').where('id', '=', id).forUpdate().execute();
    await slow.refuse(503, /took too long/, 'PUT', `${PATH}/${id}`, { loadbalancer: {} });
  } finally {
    await blocker.rollback().execute();
    await slow.stop();
  }
});

test.run();
