import { type AddressInfo, createServer, type Server } from 'node:net';
import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { connectNats } from '../../src/cli/serve/nats.ts';
import type { AmphoraeError } from '../../src/model/errors.ts';

/** A server that says what a nats-server says first, and answers pings. */
async function pretend(info: object): Promise<{ url: string; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write(`INFO ${JSON.stringify({ server_id: 'x', max_payload: 1_048_576, ...info })}\r\n`);
    socket.on('data', (data) => {
      if (String(data).includes('PING\r\n')) socket.write('PONG\r\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function refusal(info: object): Promise<AmphoraeError> {
  const { url, server } = await pretend(info);
  try {
    const connected = await connectNats(url, 'test', pino({ level: 'silent' })).catch((error) => error);
    assert.is(connected.kind, 'terminal');
    return connected;
  } finally {
    server.close();
  }
}

test('a nats-server that is too old is refused by name, with its version and what to do', async () => {
  const error = await refusal({ version: '2.8.4', jetstream: true });
  assert.is(error.code, 'nats_server_too_old');
  assert.match(error.message, /127\.0\.0\.1:\d+ is version 2\.8\.4: version 2\.9 or newer .* upgrade it/);
});

test('a nats-server without JetStream is refused, with how to start it', async () => {
  const error = await refusal({ version: '2.10.1' });
  assert.is(error.code, 'no_jetstream');
  assert.match(error.message, /start it with --jetstream/);
});

test.run();
