import { connect } from 'node:net';
import { Hono } from 'hono';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { serveApi } from '../../src/http/server.ts';

const app = new Hono().get('/', (context) => context.text('here'));

/** Send bytes and read until the server closes or has answered. */
async function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setTimeout(5_000, () => socket.destroy(new Error('no answer')));
  socket.end(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

test('it says where it listens, also with a port of the system’s choice', async () => {
  for (const [listen, pattern] of [
    ['127.0.0.1:0', /^http:\/\/127\.0\.0\.1:\d+$/],
    ['[::1]:0', /^http:\/\/\[::1\]:\d+$/],
  ] as const) {
    const server = await serveApi(app, listen);
    try {
      assert.match(server.url, pattern);
      assert.is(await (await fetch(server.url)).text(), 'here');
    } finally {
      await server.close();
    }
  }
});

test('what is no HTTP is a bad request, not a failure', async () => {
  const server = await serveApi(app, '127.0.0.1:0');
  try {
    for (const request of [
      'GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n',
      'GET http://[ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      'nonsense\r\n\r\n',
    ]) {
      assert.match(await raw(server.url, request), /^HTTP\/1\.1 400 /, request);
    }
  } finally {
    await server.close();
  }
});

test('closing lets a running request end', async () => {
  let arrived = () => {};
  const running = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const gate = Promise.withResolvers<void>();
  const slow = new Hono().get('/', async (context) => {
    arrived();
    await gate.promise;
    return context.text('done');
  });
  const server = await serveApi(slow, '127.0.0.1:0');
  const answer = fetch(server.url);
  await running;
  const closed = server.close();
  gate.resolve();
  assert.is(await (await answer).text(), 'done');
  await closed;
});

test('an address in use is an error of the caller’s', async () => {
  const server = await serveApi(app, '127.0.0.1:0');
  try {
    await serveApi(app, new URL(server.url).host);
    assert.unreachable();
  } catch (error) {
    assert.is((error as NodeJS.ErrnoException).code, 'EADDRINUSE');
  } finally {
    await server.close();
  }
});

test.run();
