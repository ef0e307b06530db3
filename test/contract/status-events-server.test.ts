import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { connectNats } from '../../src/cli/serve/nats.ts';

test('a nats-server that is too old is refused in plain words', async () => {
  const message = await refusal({ version: '2.8.4', jetstream: true });
  assert.match(
    message,
    /nats-server at 127\.0\.0\.1:\d+ is version 2\.8\.4: version 2\.9 or newer is needed/,
  );
});

test('a nats-server without JetStream is refused in plain words', async () => {
  assert.match(await refusal({ version: '2.10.1' }), /runs without JetStream.*--jetstream/);
});

test('newer servers are welcome', async () => {
  await withServer({ version: '3.0.0', jetstream: true }, async (url) => {
    const nats = await connectNats(url, 'test', pino({ level: 'silent' }));
    await nats.close();
  });
});

async function refusal(info: object): Promise<string> {
  let message = 'not refused';
  await withServer(info, async (url) => {
    const refused = connectNats(url, 'test', pino({ level: 'silent' }));
    message = await refused.then(
      () => message,
      (error: Error) => error.message,
    );
  });
  return message;
}

/** As much of a nats-server as a client meets when it connects. */
async function withServer(info: object, work: (url: string) => Promise<void>): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      if (data.includes('PING')) socket.write('PONG\r\n');
    });
    socket.write(
      `INFO ${JSON.stringify({ server_id: 'test', max_payload: 1_048_576, headers: true, ...info })}\r\n`,
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await work(`nats://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

test.run();
