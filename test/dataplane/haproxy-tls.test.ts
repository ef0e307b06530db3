// timeout: 180
import { X509Certificate } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ListenerNode, PoolNode } from '../../src/model/graph.ts';
import { l7policy, l7rule, listener, pool, uuid } from '../support/graph.ts';
import {
  echoMember,
  type HaproxyStand,
  type Response,
  startHaproxyStand,
  VIP,
} from '../support/haproxy-stand.ts';
import { createTestPki } from '../support/test-pki.ts';

// What haproxy does with TLS, on both of its sides, seen by real curl and real members.

let stand: HaproxyStand;
let alice: { cert: string; key: string };
let aliceOptions: string[];
let mallory: string[];

const www = 'www.example.com';

test.before(async () => {
  stand = await startHaproxyStand();
  const { pki, secret, clientFile } = stand;
  for (const name of ['www', 'shop', 'renewed']) {
    const { cert, key } = await pki.issue(name === 'renewed' ? www : `${name}.example.com`);
    secret(`${name}.pem`, `${cert}\n${key}\n`);
  }
  alice = await pki.issue('alice');
  const revoked = await pki.issue('mallory');
  secret('alice.pem', `${alice.cert}\n${alice.key}\n`);
  secret('crl.pem', await pki.revoke([revoked.cert]));
  const identity = (name: string, { cert, key }: typeof alice) => [
    ...['--cert', clientFile(`${name}-cert.pem`, cert)],
    ...['--key', clientFile(`${name}-key.pem`, key)],
  ];
  aliceOptions = identity('client-alice', alice);
  mallory = identity('client-mallory', revoked);
});
test.after(() => stand?.stop());

const https = (parts: Partial<ListenerNode> = {}) =>
  listener({
    protocol: 'TERMINATED_HTTPS',
    protocolPort: 443,
    defaultTlsContainerRef: 'file:www.pem',
    ...parts,
  });
const members = (parts: Partial<PoolNode> = {}) => pool({ members: [echoMember(1)], ...parts });

/** As a browser asks: by name, trusting the test's authority. */
function browse(name = www, path = '/', ...options: string[]): Promise<Response> {
  const resolve = ['--cacert', `${stand.directory}/ca.pem`, '--resolve', `${name}:443:${VIP}`];
  return stand.curl(`https://${name}${path}`, ...resolve, ...options);
}

test('each host name has its certificate, and an unknown one that of the listener', async () => {
  await stand.apply({
    listeners: [https({ sniContainerRefs: ['file:shop.pem'], alpnProtocols: ['h2', 'http/1.1'] })],
    pools: [members()],
  });
  assert.is((await browse(www)).status, 200);
  assert.is((await browse('shop.example.com')).status, 200);
  assert.is((await browse('other.example.com')).exit, 60, 'refused by the client: not its name');
  const { text } = await browse('other.example.com', '/', '--insecure', '--write-out', '%{certs}');
  assert.match(text, /CN = www\.example\.com/);
});

test('HTTP/2 is spoken where both sides can', async () => {
  assert.match((await browse(www, '/', '--http2')).headers, /^HTTP\/2 200/);
  assert.match((await browse(www, '/', '--http1.1')).headers, /^HTTP\/1\.1 200/);
  await stand.apply({ listeners: [https({ alpnProtocols: ['http/1.1'] })], pools: [members()] });
  assert.match((await browse(www, '/', '--http2')).headers, /^HTTP\/1\.1 200/);
});

test('a renewed certificate is served although the listener did not change', async () => {
  const serial = async () => {
    const { text } = await browse(www, '/', '--write-out', '%{certs}');
    return new X509Certificate(/-----BEGIN.+?-----END CERTIFICATE-----/s.exec(text)?.[0] ?? '').serialNumber;
  };
  const first = await serial();
  const { cert, key } = await stand.pki.issue(www);
  stand.secret('www.pem', `${cert}\n${key}\n`);
  await stand.apply({ listeners: [https({ alpnProtocols: ['http/1.1'] })], pools: [members()] });
  assert.is.not(await serial(), first);
  assert.is(await serial(), new X509Certificate(cert).serialNumber);
});

test('files that nothing refers to any more are removed from the amphora', async () => {
  const { amphora } = stand;
  const names = Object.keys(await amphora.client.listCertificates(amphora.target(), uuid(1)));
  assert.is(names.length, 2, `a certificate and its list, not ${names}`);
});

test('versions and ciphers outside the listener’s are not spoken', async () => {
  const only = { tlsCiphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_256_GCM_SHA384' };
  await stand.apply({
    listeners: [https({ ...only, tlsVersions: ['TLSv1.2', 'TLSv1.3'] })],
    pools: [members()],
  });
  const older = (cipher: string) => browse(www, '/', '--tls-max', '1.2', '--ciphers', cipher);
  assert.is((await older('ECDHE-ECDSA-AES128-GCM-SHA256')).status, 200);
  assert.is((await older('ECDHE-ECDSA-AES256-GCM-SHA384')).exit, 35);
  const newer = (suite: string) => browse(www, '/', '--tlsv1.3', '--tls13-ciphers', suite);
  assert.is((await newer('TLS_AES_256_GCM_SHA384')).status, 200);
  assert.is((await newer('TLS_AES_128_GCM_SHA256')).exit, 35);
  await stand.apply({ listeners: [https({ tlsVersions: ['TLSv1.3'] })], pools: [members()] });
  assert.is((await older('ECDHE-ECDSA-AES128-GCM-SHA256')).exit, 35);
});

test('members learn that the client used TLS, and browsers that they must', async () => {
  const insertHeaders = {
    'X-Forwarded-Proto': 'true',
    'X-SSL-Client-Has-Cert': 'true',
    'X-SSL-Client-CN': 'true',
  };
  const hsts = { hstsMaxAge: 300, hstsIncludeSubdomains: true, hstsPreload: true };
  await stand.apply({ listeners: [https({ insertHeaders, ...hsts })], pools: [members()] });
  const response = await browse(www, '/', '--header', 'X-SSL-Client-CN: admin');
  assert.match(response.headers, /^strict-transport-security: max-age=300; includeSubDomains; preload;$/im);
  const { headers } = response.echo();
  assert.is(headers['x-forwarded-proto'], 'https');
  assert.is(headers['x-ssl-client-has-cert'], '0');
  assert.is(headers['x-ssl-client-cn'], '', 'what the client claims is not passed on');
});

test('a mandatory client certificate is asked for, verified, and described to members', async () => {
  const names = ['Verify', 'Has-Cert', 'DN', 'CN', 'SHA1', 'Not-Before', 'Not-After'];
  const insertHeaders = Object.fromEntries([
    ...names.map((name) => [`X-SSL-Client-${name}`, 'true']),
    ['X-SSL-Issuer', 'true'],
  ]);
  const trust = { clientCaTlsContainerRef: 'file:ca.pem', clientCrlContainerRef: 'file:crl.pem' };
  await stand.apply({
    listeners: [https({ ...trust, clientAuthentication: 'MANDATORY', insertHeaders })],
    pools: [members()],
  });
  assert.is.not((await browse(www)).exit, 0, 'without a certificate');
  assert.is.not((await browse(www, '/', ...mallory)).exit, 0, 'with a revoked one');
  const { headers } = (await browse(www, '/', ...aliceOptions)).echo();
  assert.is(headers['x-ssl-client-verify'], '0');
  assert.is(headers['x-ssl-client-has-cert'], '1');
  assert.is(headers['x-ssl-client-cn'], 'alice');
  assert.is(headers['x-ssl-client-dn'], '/CN=alice');
  assert.is(headers['x-ssl-issuer'], '/CN=test authority');
  const fingerprint = new X509Certificate(alice.cert).fingerprint.replaceAll(':', '');
  assert.is(headers['x-ssl-client-sha1'], fingerprint);
  for (const name of ['x-ssl-client-not-before', 'x-ssl-client-not-after'])
    assert.match(headers[name] ?? '', /^\d{12}Z$/);
});

test('an optional client certificate may be missing, and decides about policies', async () => {
  const rule = { type: 'SSL_DN_FIELD', key: 'CN', compareType: 'STARTS_WITH', value: 'ali' } as const;
  await stand.apply({
    listeners: [
      https({
        clientCaTlsContainerRef: 'file:ca.pem',
        clientAuthentication: 'OPTIONAL',
        l7policies: [
          l7policy({
            id: uuid(50),
            action: 'REDIRECT_TO_URL',
            redirectUrl: 'https://example.com/hello%20alice',
            rules: [
              l7rule({ id: uuid(60), ...rule }),
              l7rule({ id: uuid(61), type: 'SSL_VERIFY_RESULT', value: '0' }),
            ],
          }),
          l7policy({
            id: uuid(51),
            rules: [l7rule({ id: uuid(62), type: 'SSL_CONN_HAS_CERT', value: 'true' })],
          }),
        ],
      }),
    ],
    pools: [members()],
  });
  assert.is((await browse(www)).status, 200);
  const redirected = await browse(www, '/', ...aliceOptions);
  assert.is(redirected.status, 302);
  assert.match(redirected.headers, /^location: https:\/\/example\.com\/hello%20alice$/im);
  assert.is((await browse(www, '/', ...mallory)).status, 403, 'has a certificate, but another name');
});

test('a pool with TLS speaks it to its members, with its own certificate and the name that the client asked for', async () => {
  const encrypted = members({
    members: [echoMember(1, { protocolPort: 8443 })],
    tlsEnabled: true,
    tlsContainerRef: 'file:alice.pem',
    caTlsContainerRef: 'file:ca.pem',
    crlContainerRef: 'file:crl.pem',
    tlsCiphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
    tlsVersions: ['TLSv1.2'],
    alpnProtocols: ['h2'],
  });
  const { cert, key } = await stand.pki.issue('member.example.com');
  stand.secret('member-name.pem', `${cert}\n${key}\n`);
  const listeners = [https({ sniContainerRefs: ['file:member-name.pem'] })];
  await stand.apply({ listeners, pools: [encrypted] });
  const { tls, httpVersion } = (await browse('member.example.com')).echo();
  assert.is(httpVersion, '2.0');
  assert.equal(tls, {
    name: 'member.example.com',
    client: 'alice',
    protocol: 'TLSv1.2',
    cipher: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  });
  assert.is((await browse(www)).status, 503, 'the member has no certificate for that name');

  stand.secret('other-ca.pem', (await createTestPki()).ca);
  const distrusting = { ...encrypted, caTlsContainerRef: 'file:other-ca.pem', crlContainerRef: null };
  await stand.apply({ listeners, pools: [distrusting] });
  assert.is((await browse('member.example.com')).status, 503, 'no authority of ours has signed it');
  await stand.apply({ listeners, pools: [{ ...distrusting, caTlsContainerRef: null }] });
  assert.is((await browse(www)).status, 200, 'without an authority nothing is verified');
});

test('members hear the name of the client’s certificate by PROXY version 2', async () => {
  await stand.apply({
    listeners: [https({ clientCaTlsContainerRef: 'file:ca.pem', clientAuthentication: 'OPTIONAL' })],
    pools: [members({ protocol: 'PROXYV2', members: [echoMember(1, { protocolPort: 8081 })] })],
  });
  const { text } = await browse(www, '/', ...aliceOptions);
  assert.ok(text.startsWith('0d0a0d0a000d0a515549540a21'), text);
  assert.ok(text.includes(Buffer.from('alice').toString('hex')), text);
});

test('HTTPS listeners pass TLS on as it is', async () => {
  await stand.apply({
    listeners: [listener({ protocol: 'HTTPS', protocolPort: 443 })],
    pools: [members({ protocol: 'HTTPS', members: [echoMember(1, { protocolPort: 8443 })] })],
  });
  const { tls } = (await browse('member.example.com')).echo();
  assert.is(tls?.name, 'member.example.com');
});

test('metrics come over TLS as well', async () => {
  await stand.apply({ listeners: [https({ protocol: 'PROMETHEUS', defaultPoolId: null })], pools: [] });
  assert.match((await browse(www, '/metrics')).text, /^haproxy_frontend_current_sessions\{/m);
  assert.is((await browse(www, '/')).status, 404);
});

test.run();
