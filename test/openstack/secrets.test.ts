// timeout: 120
import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { programEnvironment } from '../../src/config.ts';
import { Service } from '../../src/keystone/service.ts';
import { KeystoneSession } from '../../src/keystone/session.ts';
import { BarbicanStore } from '../../src/secrets/barbican-store.ts';
import { createTestPki } from '../support/test-pki.ts';
import { account, facing, octavia } from './cloud.ts';

// A user's secrets in real Barbican, read by the control plane's own account.

const dispatcher = new Agent();
const user = new KeystoneSession(account('demo', 'demo'), dispatcher);
const stranger = new KeystoneSession(account('demo2', 'demo2'), dispatcher);
const barbican = new Service({
  session: user,
  facing,
  dispatcher,
  name: 'barbican',
  types: ['key-manager'],
  base: '/v1',
});
const store = new BarbicanStore(
  { session: new KeystoneSession(octavia, dispatcher), facing, dispatcher },
  programEnvironment(),
);
const pki = await createTestPki();
const { cert, key } = await pki.issue('www.example.com');
const made: string[] = [];

test.after(async () => {
  for (const ref of made) {
    const path = new URL(ref).pathname.replace('/v1', '');
    await barbican.find(call(), { method: 'DELETE', path, purpose: `remove ${ref}` }, z.unknown());
  }
  await dispatcher.close();
});

const call = () => ({ signal: AbortSignal.timeout(30_000) });

async function secret(payload: string | Buffer): Promise<string> {
  const body = {
    ...(typeof payload === 'string'
      ? { payload, payload_content_type: 'text/plain' }
      : {
          payload: payload.toString('base64'),
          payload_content_type: 'application/octet-stream',
          payload_content_encoding: 'base64',
        }),
  };
  const order = { method: 'POST', path: '/secrets', body, purpose: 'store a secret' } as const;
  const { secret_ref } = await barbican.send(call(), order, z.object({ secret_ref: z.string() }));
  made.unshift(secret_ref);
  return secret_ref;
}

async function container(parts: Record<string, string>): Promise<string> {
  const secret_refs = Object.entries(parts).map(([name, secret_ref]) => ({ name, secret_ref }));
  const body = { type: 'certificate', name: 'www', secret_refs };
  const order = { method: 'POST', path: '/containers', body, purpose: 'store a container' } as const;
  const { container_ref } = await barbican.send(call(), order, z.object({ container_ref: z.string() }));
  made.unshift(container_ref);
  return container_ref;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: { code: string }) => error.code,
  );
}

/** PKCS#12 without passphrase. */
function bundle(): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  try {
    const file = join(directory, 'www.pem');
    writeFileSync(file, `${cert}\n${key}\n`);
    return execFileSync('openssl', ['pkcs12', '-export', '-passout', 'pass:', '-in', file]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a bundle is read once its owner has admitted us, and not before', async () => {
  const ref = await secret(bundle());
  assert.is(await codeOf(store.certificate(ref)), 'secret_not_found');
  await store.admitUs(ref, (await stranger.token()).id);
  assert.is(await codeOf(store.certificate(ref)), 'secret_not_found', 'a stranger cannot admit us');
  const { id } = await user.token();
  await store.admitUs(ref, id);
  await store.admitUs(ref, id);
  const read = await store.certificate(ref);
  assert.is(read.certificate.trim(), cert.trim());
  assert.match(read.privateKey, /BEGIN PRIVATE KEY/);
});

test('a container of certificate, encrypted key, intermediates and passphrase is read as one', async () => {
  const subordinate = await pki.subordinate('intermediate');
  const leaf = await subordinate.issue('deep.example.com');
  const encrypted = createPrivateKey(leaf.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'geheim',
  });
  const ref = await container({
    certificate: await secret(leaf.cert),
    private_key: await secret(String(encrypted)),
    private_key_passphrase: await secret('geheim'),
    intermediates: await secret(subordinate.ca),
  });
  await store.admitUs(ref, (await user.token()).id);
  const read = await store.certificate(ref);
  assert.is(read.certificate.trim(), leaf.cert.trim());
  assert.is(read.intermediates.length, 1);
});

test('a container shows its owner who uses it, once', async () => {
  const ref = await container({ certificate: await secret(cert), private_key: await secret(key) });
  await store.admitUs(ref, (await user.token()).id);
  const consumers = async () => {
    const path = `${new URL(ref).pathname.replace('/v1', '')}/consumers`;
    const schema = z.object({ consumers: z.array(z.object({ name: z.string(), URL: z.string() })) });
    return (await barbican.send(call(), { method: 'GET', path, purpose: 'list consumers' }, schema))
      .consumers;
  };
  await store.certificate(ref);
  assert.equal(await consumers(), []);
  for (let push = 0; push < 2; push += 1) {
    const read = await store.certificate(ref, 'lbaas://loadbalancers/1');
    assert.is(read.certificate.trim(), cert.trim());
  }
  assert.equal(
    (await consumers()).map(({ name, URL: url }) => [name, url]),
    [['Octavia', 'lbaas://loadbalancers/1']],
  );
});

test('the certificate of an authority is read as it is', async () => {
  const ref = await secret(pki.ca);
  await store.admitUs(ref, (await user.token()).id);
  assert.is((await store.pem(ref)).trim(), pki.ca.trim());
});

test('what is none of Barbican, unknown, or no bundle says so', async () => {
  const unknown = 'http://127.0.0.1/v1/secrets/00000000-0000-4000-8000-000000000000';
  assert.is(await codeOf(store.certificate(unknown)), 'secret_not_found');
  assert.is(await codeOf(store.certificate('file:www.pem')), 'secret_ref_unsupported');
  const ref = await secret('no certificate');
  await store.admitUs(ref, (await user.token()).id);
  assert.is(await codeOf(store.certificate(ref)), 'secret_malformed');
});

test.run();
