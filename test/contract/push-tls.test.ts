import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { loadConfig } from '../../src/config.ts';
import { createApi } from '../../src/http/app.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';
import { createTestPki } from '../support/test-pki.ts';

// A secret that cannot be read at a push (contract B3, F5): its listener fails, the others go on, and it comes back.

interface Listener {
  id: string;
  provisioning_status: string;
  operating_status: string;
  provisioning_error: { code: string; message: string } | null;
}

let runtime: Runtime;
let app: ReturnType<typeof createApi>;
let loadBalancerId: string;
const pki = await createTestPki();

test.before(async () => {
  runtime = await startRuntime();
  await runtime.startNode('tls');
  const { db, mailbox, provider, secrets } = runtime;
  app = createApi({
    ...{ db, mailbox, network: provider.network, secrets: secrets.store },
    ...{ config: loadConfig({}, {}), log: pino({ level: 'silent' }) },
  });
});
test.after(() => runtime?.stop());

async function store(name: string): Promise<void> {
  const { cert, key } = await pki.issue(`${name}.example.com`);
  writeFileSync(join(runtime.secrets.directory, `${name}.pem`), `${cert}\n${key}\n`);
}
const forget = (name: string) => rmSync(join(runtime.secrets.directory, `${name}.pem`));

async function send(method: string, path: string, body?: object) {
  const response = await app.request(`/v2/lbaas/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

/** Each listener by its port, once the load balancer is at rest. */
async function listeners(): Promise<Record<string, Listener>> {
  assert.is(await runtime.waitFor(loadBalancerId, ['ACTIVE', 'ERROR']), 'ACTIVE');
  const { listeners: all } = (await send('GET', 'listeners')) as {
    listeners: (Listener & { protocol_port: number })[];
  };
  return Object.fromEntries(all.map((each) => [each.protocol_port, each]));
}

const change = () => send('PUT', `loadbalancers/${loadBalancerId}`, { loadbalancer: { name: randomUUID() } });

/** Names of the files that the amphora has. */
async function files(): Promise<string[]> {
  const { id } = await runtime.db.selectFrom('amphorae').select('id').executeTakeFirstOrThrow();
  return [...(runtime.provider.amphora(id)?.certificates?.keys() ?? [])];
}

test('listeners with certificates become ACTIVE, and the amphora has a file and a list for each', async () => {
  for (const name of ['www', 'shop']) await store(name);
  const tls = (name: string, protocol_port: number) => ({
    ...{ protocol: 'TERMINATED_HTTPS', protocol_port, default_tls_container_ref: `file:${name}.pem` },
  });
  const { loadbalancer } = (await send('POST', 'loadbalancers', {
    loadbalancer: {
      vip_subnet_id: randomUUID(),
      listeners: [tls('www', 443), tls('shop', 444), { protocol: 'HTTP', protocol_port: 80 }],
    },
  })) as { loadbalancer: { id: string } };
  loadBalancerId = loadbalancer.id;
  for (const listener of Object.values(await listeners())) assert.is(listener.provisioning_status, 'ACTIVE');
  assert.is((await files()).length, 4);
});

test('a secret that is gone takes its listener down with the reason, and no other', async () => {
  forget('shop');
  await change();
  const { 80: http, 443: www, 444: shop } = await listeners();
  assert.is(shop?.provisioning_status, 'ERROR');
  assert.is(shop?.operating_status, 'ERROR');
  assert.is(shop?.provisioning_error?.code, 'tls_unreadable');
  assert.match(shop?.provisioning_error?.message ?? '', /^secret file:shop\.pem: /);
  assert.is(www?.provisioning_status, 'ACTIVE');
  assert.is(http?.provisioning_status, 'ACTIVE');
  await waitFor('its files to be removed', 5, async () => (await files()).length === 2 || undefined);
});

test('the listener stays in ERROR while the secret is gone, also through a failover, and comes back with it', async () => {
  await change();
  assert.is((await listeners())[444]?.provisioning_status, 'ERROR');
  const response = await app.request(`/v2/lbaas/loadbalancers/${loadBalancerId}/failover`, { method: 'PUT' });
  assert.is(response.status, 202);
  const { 443: www, 444: shop } = await listeners();
  assert.is(shop?.provisioning_status, 'ERROR');
  assert.is(www?.provisioning_status, 'ACTIVE');
  await store('shop');
  await change();
  const { 444: back } = await listeners();
  assert.is(back?.provisioning_status, 'ACTIVE');
  assert.is(back?.provisioning_error, null);
});

test.run();
