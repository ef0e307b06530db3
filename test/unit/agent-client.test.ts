import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AgentTarget } from '../../src/amphora-api/client.ts';
import { createAgentClient } from '../../src/amphora-api/undici-client.ts';
import type { AmphoraeError } from '../../src/model/errors.ts';
import { createTestPki } from '../support/test-pki.ts';

const AMPHORA = '5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c0aa';
const LOAD_BALANCER = '5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c0bb';

const pki = await createTestPki();
const { cert, key } = await pki.issue(AMPHORA);
let answer = { status: 200, body: '{}' };
const requests: { method?: string | undefined; url?: string | undefined; epoch: unknown }[] = [];
const sockets = new Set<unknown>();

const server = createServer({ cert, key, ca: pki.ca, requestCert: true }, (request, response) => {
  requests.push({ method: request.method, url: request.url, epoch: request.headers['x-amphorae-epoch'] });
  sockets.add(request.socket as TLSSocket);
  // 0 stands for an agent that never answers.
  if (answer.status > 0) response.writeHead(answer.status).end(answer.body);
});
await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
const { port } = server.address() as AddressInfo;
const client = createAgentClient({
  ca: pki.ca,
  ...(await pki.issue('amphorae-controller')),
  requestSeconds: 0.5,
  port,
});

test.after(async () => {
  await client.close();
  server.close();
  server.closeAllConnections();
});

const target = (changes: Partial<AgentTarget> = {}): AgentTarget => ({
  ...{ amphoraId: AMPHORA, address: '::1', epoch: 5, signal: AbortSignal.timeout(10_000) },
  ...changes,
});

async function failure(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'none',
    ({ kind, code }: AmphoraeError) => `${kind} ${code}`,
  );
}

const PLUG = { subnet_cidr: '10.0.0.0/24', gateway: null, mac_address: '02:00:00:00:00:01' };

const CASES: [number, string, string][] = [
  [400, '{"message":"Invalid request","details":"vips.0: must be an IP address"}', 'terminal agent_refused'],
  [403, '{"error":"no","http_code":403}', 'terminal agent_refused'],
  [
    404,
    '{"message":"No link","details":"No suitable network interface found"}',
    'transient agent_unreachable',
  ],
  [404, '<html>not ready</html>', 'transient agent_unreachable'],
  [404, '{"message":"Listener Not Found"}', 'terminal agent_refused'],
  [412, '{"message":"older","code":"stale_epoch"}', 'terminal stale_epoch'],
  [412, '{"message":"something else"}', 'terminal agent_refused'],
  [500, '{"message":"no"}', 'transient agent_unreachable'],
  [503, '', 'transient agent_unreachable'],
  [0, '', 'transient agent_unreachable'],
];

for (const [status, body, expected] of CASES) {
  test(`an answer of ${status || 'never'} ${body} is ${expected}`, async () => {
    answer = { status, body };
    assert.is(await failure(client.plugNetwork(target(), { mac_address: PLUG.mac_address })), expected);
  });
}

test('what is there already, or gone already, is success', async () => {
  answer = { status: 409, body: '{"message":"already plugged"}' };
  await client.plugVip(target(), '10.0.0.5', PLUG);
  answer = { status: 404, body: '{"message":"Listener Not Found"}' };
  await client.deleteHaproxy(target(), LOAD_BALANCER);
});

test('calls carry the epoch and share connections', async () => {
  answer = { status: 202, body: '{"message":"OK"}' };
  requests.length = 0;
  sockets.clear();
  for (let round = 0; round < 10; round++) await client.uploadHaproxy(target(), LOAD_BALANCER, 'global\n');
  const url = `/1.0/loadbalancer/${AMPHORA}/${LOAD_BALANCER}/haproxy`;
  assert.equal(requests[0], { method: 'PUT', url, epoch: '5' });
  assert.ok(sockets.size <= 2);
  await client.configure(target(), '{}');
  assert.equal(requests.at(-1), { method: 'PUT', url: '/1.0/config', epoch: '5' });
});

test('only the amphora itself is believed, and an answer of the wrong shape is not', async () => {
  answer = { status: 200, body: '{"hostname":"x"}' };
  assert.is(await failure(client.info(target({ amphoraId: LOAD_BALANCER }))), 'transient agent_unreachable');
  assert.is(await failure(client.info(target())), 'terminal agent_refused');
});

test('a cancelled call and a port where nobody listens are transient', async () => {
  answer = { status: 0, body: '' };
  const cancelled = target({ signal: AbortSignal.timeout(50) });
  assert.is(await failure(client.info(cancelled)), 'transient agent_unreachable');
  assert.is(await failure(client.info(target({ address: '127.0.0.1' }))), 'transient agent_unreachable');
});

test.run();
