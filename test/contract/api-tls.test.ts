import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig, programEnvironment } from '../../src/config.ts';
import { FileStore } from '../../src/secrets/file-store.ts';
import { createTestPki } from '../support/test-pki.ts';
import { startHarness } from './api-harness.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
const pki = await createTestPki();
const other = await createTestPki();
for (const name of ['www', 'api']) {
  const { cert, key } = await pki.issue(`${name}.example.com`);
  writeFileSync(join(directory, `${name}.pem`), cert + key);
}
writeFileSync(join(directory, 'ca.pem'), pki.ca);
writeFileSync(join(directory, 'crl.pem'), await pki.revoke([]));
writeFileSync(join(directory, 'foreign-crl.pem'), await other.revoke([]));
const [WWW, API, CA, CRL] = ['file:www.pem', 'file:api.pem', 'file:ca.pem', 'file:crl.pem'];

const config = loadConfig({}, {});
const api = await startHarness({
  config,
  secrets: new FileStore({ directory, env: programEnvironment() }),
});
test.after(async () => {
  rmSync(directory, { recursive: true });
  await api.stop();
});
test.after.each(() => {
  Object.assign(config, loadConfig({}, {}));
});

const LISTENERS = '/v2/lbaas/listeners';
const POOLS = '/v2/lbaas/pools';
const { id: loadbalancer_id } = await api.createLoadBalancer();
let lastPort = 1000;
const tls = () => ({
  loadbalancer_id,
  protocol: 'TERMINATED_HTTPS',
  protocol_port: ++lastPort,
  default_tls_container_ref: WWW,
});
const httpPool = { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
const versions = ['TLSv1.2', 'TLSv1.3'];
const alpn = ['h2', 'http/1.1', 'http/1.0'];
const ciphers =
  'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:' +
  'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:' +
  'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:' +
  'DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305';

async function createListener(attributes: object = {}) {
  const listener = await api.expect(201, 'POST', LISTENERS, { listener: { ...tls(), ...attributes } });
  await api.settle();
  return listener;
}

test('a listener that terminates TLS is told how, or fills in the defaults', async () => {
  const plain = await createListener();
  assert.equal([plain.tls_ciphers, plain.tls_versions, plain.alpn_protocols], [ciphers, versions, alpn]);
  const given = {
    sni_container_refs: [API, WWW],
    client_ca_tls_container_ref: CA,
    client_crl_container_ref: CRL,
    client_authentication: 'MANDATORY',
    tls_ciphers: 'ECDHE-RSA-AES128-GCM-SHA256',
    tls_versions: ['TLSv1.3'],
    alpn_protocols: ['http/1.1'],
    hsts_max_age: 300,
    hsts_include_subdomains: true,
    hsts_preload: true,
    insert_headers: { 'X-SSL-Client-CN': 'true', 'X-SSL-Issuer': 'true', 'X-Forwarded-Proto': 'true' },
  };
  const full = await createListener(given);
  assert.equal(Object.fromEntries(Object.keys(given).map((name) => [name, full[name]])), given);
});

test('what speaks no TLS keeps TLS settings as they are given', async () => {
  const http = { protocol: 'HTTP', default_tls_container_ref: null };
  assert.equal((await createListener(http)).tls_versions, null);
  const { id, tls_versions } = await createListener({ ...http, tls_versions: ['TLSv1.1'] });
  assert.equal(tls_versions, ['TLSv1.1']);
  const reset = { tls_versions: null, tls_ciphers: null, alpn_protocols: null };
  const changed = await api.expect(200, 'PUT', `${LISTENERS}/${id}`, { listener: reset });
  assert.equal(
    [changed.tls_ciphers, changed.tls_versions, changed.alpn_protocols],
    [ciphers, versions, alpn],
  );
  await api.settle();
});

test('a listener whose TLS makes no sense is refused', async () => {
  const none = { default_tls_container_ref: null };
  for (const [text, attributes] of [
    [/default_tls_container_ref/, none],
    [/default_tls_container_ref/, { ...none, client_ca_tls_container_ref: CA }],
    [/client_authentication/, { client_authentication: 'OPTIONAL' }],
    [/client_crl_container_ref/, { client_crl_container_ref: CRL }],
    [/takes no TLS references/, { protocol: 'HTTP' }],
    [/takes no TLS references/, { protocol: 'UDP' }],
    [/takes no TLS references/, { protocol: 'TCP', ...none, sni_container_refs: [WWW] }],
    [/file:none.*no such file/, { default_tls_container_ref: 'file:none' }],
    [/file:ca.pem.*private key/, { default_tls_container_ref: CA }],
    [/file:ca.pem.*private key/, { sni_container_refs: [WWW, CA] }],
    [/only file:NAME/, { default_tls_container_ref: 'https://barbican/v1/secrets/1' }],
    [/file:crl.pem.*no certificate/, { client_ca_tls_container_ref: CRL }],
    [
      /foreign-crl.*signed/,
      { client_ca_tls_container_ref: CA, client_crl_container_ref: 'file:foreign-crl.pem' },
    ],
    [/HSTS is for/, { protocol: 'HTTP', ...none, hsts_max_age: 1 }],
    [/need hsts_max_age/, { hsts_preload: true }],
    [/hsts_max_age/, { hsts_max_age: -1 }],
    [/X-SSL-Client-CN/, { protocol: 'HTTP', ...none, insert_headers: { 'X-SSL-Client-CN': 'true' } }],
    [/X-SSL-Nonsense/, { insert_headers: { 'X-SSL-Nonsense': 'true' } }],
    [/tls_versions/, { tls_versions: ['TLSv2'] }],
    [/alpn_protocols/, { alpn_protocols: [] }],
    [/tls_ciphers/, { tls_ciphers: 'a b' }],
  ] as [RegExp, object][])
    await api.refuse(400, text, 'POST', LISTENERS, { listener: { ...tls(), ...attributes } });
});

test('an update is judged by the listener that it makes', async () => {
  const { id } = await createListener({ hsts_max_age: 1, hsts_preload: true });
  const path = `${LISTENERS}/${id}`;
  for (const [text, listener] of [
    [/default_tls_container_ref/, { default_tls_container_ref: null }],
    [/need hsts_max_age/, { hsts_max_age: null }],
    [/no such file/, { default_tls_container_ref: 'file:none' }],
    [/client_authentication/, { client_authentication: 'MANDATORY' }],
  ] as const)
    await api.refuse(400, text, 'PUT', path, { listener });
  const listener = { default_tls_container_ref: null, sni_container_refs: [API] };
  assert.equal((await api.expect(200, 'PUT', path, { listener })).sni_container_refs, [API]);
  await api.settle();
  await api.refuse(404, /Listener/, 'PUT', `${LISTENERS}/${randomUUID()}`, { listener });
});

test('metrics may be had with TLS or without, but not sent to a pool', async () => {
  const prometheus = { protocol: 'PROMETHEUS', default_tls_container_ref: null };
  const { id } = await createListener(prometheus);
  await createListener({ ...prometheus, default_tls_container_ref: WWW });
  const pool = await api.expect(201, 'POST', POOLS, { pool: { ...httpPool, loadbalancer_id } });
  await api.settle();
  await api.refuse(400, /cannot use a pool/, 'PUT', `${LISTENERS}/${id}`, {
    listener: { default_pool_id: pool.id },
  });
  await api.refuse(400, /cannot use a pool/, 'POST', POOLS, { pool: { ...httpPool, listener_id: id } });
  await api.refuse(400, /takes no L7 policies/, 'POST', '/v2/lbaas/l7policies', {
    l7policy: { listener_id: id, action: 'REJECT' },
  });
});

test('a pool speaks TLS to its members with defaults or as it is told', async () => {
  const base = { ...httpPool, loadbalancer_id };
  const create = async (attributes: object) => {
    const pool = await api.expect(201, 'POST', POOLS, { pool: { ...base, ...attributes } });
    await api.settle();
    return pool;
  };
  const enabled = await create({ tls_enabled: true });
  assert.equal(
    [enabled.tls_ciphers, enabled.tls_versions, enabled.alpn_protocols],
    [ciphers, versions, alpn],
  );
  const references = { tls_container_ref: WWW, ca_tls_container_ref: CA, crl_container_ref: CRL };
  const off = await create({ ...references, tls_versions: ['TLSv1.3'] });
  assert.equal([off.tls_enabled, off.tls_versions, off.tls_ciphers], [false, ['TLSv1.3'], null]);
  assert.equal([off.tls_container_ref, off.crl_container_ref], [WWW, CRL]);

  for (const [text, attributes] of [
    [/crl_container_ref/, { crl_container_ref: CRL }],
    [/no such file/, { tls_container_ref: 'file:none' }],
    [/private key/, { tls_container_ref: CA }],
    [/no certificate/, { ca_tls_container_ref: CRL }],
    [/signed/, { ca_tls_container_ref: CA, crl_container_ref: 'file:foreign-crl.pem' }],
    [/tls_versions/, { tls_versions: [] }],
  ] as const)
    await api.refuse(400, text, 'POST', POOLS, { pool: { ...base, ...attributes } });

  const path = `${POOLS}/${off.id}`;
  await api.refuse(400, /crl_container_ref/, 'PUT', path, { pool: { ca_tls_container_ref: null } });
  await api.refuse(400, /no such file/, 'PUT', path, { pool: { tls_container_ref: 'file:none' } });
  const reset = await api.expect(200, 'PUT', path, { pool: { tls_versions: null, tls_enabled: true } });
  assert.equal([reset.tls_versions, reset.tls_enabled], [null, true]);
  await api.settle();
});

test('a tree is judged by the same rules, and a refused one leaves no port', async () => {
  const listener = { protocol: 'TERMINATED_HTTPS', protocol_port: 443, default_tls_container_ref: WWW };
  const vip_subnet_id = randomUUID();
  const post = (loadbalancer: object) => ({ loadbalancer: { vip_subnet_id, ...loadbalancer } });
  for (const tree of [
    { listeners: [{ ...listener, default_tls_container_ref: 'file:none' }] },
    { pools: [{ ...httpPool, name: 'p', tls_container_ref: 'file:none' }] },
  ])
    await api.refuse(400, /no such file/, 'POST', '/v2/lbaas/loadbalancers', post(tree));
  const created = await api.expect(201, 'POST', '/v2/lbaas/loadbalancers', post({ listeners: [listener] }));
  assert.equal(created.listeners[0].tls_versions, versions);
});

test('the operator can forbid protocols, ciphers and old versions', async () => {
  Object.assign(config, {
    allow_tls_terminated_listeners: false,
    allow_prometheus_listeners: false,
    allow_ping_health_monitors: false,
    tls_cipher_prohibit_list: ['BAD', 'WORSE'],
    minimum_tls_version: 'TLSv1.1',
  });
  const none = { default_tls_container_ref: null };
  const refuse = (text: RegExp, attributes: object) =>
    api.refuse(400, text, 'POST', LISTENERS, { listener: { ...tls(), ...attributes } });
  await refuse(/TERMINATED_HTTPS are disabled/, {});
  await refuse(/PROMETHEUS are disabled/, { protocol: 'PROMETHEUS', ...none });
  await refuse(/prohibited/, { protocol: 'HTTP', ...none, tls_ciphers: 'GOOD:WORSE' });
  await refuse(/one of: TLSv1.1/, { protocol: 'HTTP', ...none, tls_versions: ['TLSv1', 'TLSv1.2'] });
  await api.refuse(400, /prohibited/, 'POST', POOLS, {
    pool: { ...httpPool, loadbalancer_id, tls_ciphers: 'BAD' },
  });
  const pool = await api.expect(201, 'POST', POOLS, { pool: { ...httpPool, loadbalancer_id } });
  await api.settle();
  await api.refuse(400, /PING are disabled/, 'POST', '/v2/lbaas/healthmonitors', {
    healthmonitor: { pool_id: pool.id, type: 'PING', delay: 1, timeout: 1, max_retries: 1 },
  });
});

test('a store that cannot be asked is no mistake of the client', async () => {
  // A directory where a file should be.
  mkdirSync(join(directory, 'odd.pem'));
  await api.refuse(503, /file:odd.pem.*cannot be read/, 'POST', LISTENERS, {
    listener: { ...tls(), default_tls_container_ref: 'file:odd.pem' },
  });
});

test.run();
