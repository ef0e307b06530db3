import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CertificateAuthority, CONTROLLER_NAME } from '../../src/effects/certificate-authority.ts';

const AMPHORA = '0b1d7e0e-33d9-4f0c-8a0e-3f6f5d9a1c11';
const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
test.after(() => rmSync(directory, { recursive: true }));

const authority = await CertificateAuthority.open(directory);

test('a certificate says what it was issued for, and who issued it', async () => {
  const issued = await authority.issueForAmphora(AMPHORA, 30);
  const certificate = new X509Certificate(issued.certificate);
  const root = new X509Certificate(authority.certificate);
  assert.is(certificate.subject, `CN=${AMPHORA}`);
  assert.is(certificate.subjectAltName, `DNS:${AMPHORA}`);
  assert.is(certificate.issuer, root.subject);
  assert.equal(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.is(certificate.ca, false);
  assert.is(certificate.serialNumber.length, 32);
  assert.ok(certificate.verify(root.publicKey));
  assert.ok(certificate.checkIssued(root));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(issued.privateKey)));
  assert.is(Date.parse(certificate.validTo), Math.floor(issued.expires.getTime() / 1000) * 1000);
  assert.ok(Date.parse(certificate.validFrom) < Date.now() - 86_000_000);
  const controller = new X509Certificate((await authority.issueForController(1)).certificate);
  assert.is(controller.subject, `CN=${CONTROLLER_NAME}`);
  assert.equal(controller.keyUsage, ['1.3.6.1.5.5.7.3.2']);
});

test('an authority may issue, and its key is for its owner only', async () => {
  const root = new X509Certificate(authority.certificate);
  assert.is(root.ca, true);
  assert.ok(root.checkIssued(root));
  assert.ok(root.verify(root.publicKey));
  assert.is(statSync(join(directory, 'authority.pem')).mode & 0o777, 0o600);
});

test('certificates that expire in 2050 or later are dated with four digits', async () => {
  const days = (Date.UTC(2051, 0, 1) - Date.now()) / 86_400_000;
  const certificate = new X509Certificate((await authority.issueForAmphora(AMPHORA, days)).certificate);
  assert.is(new Date(certificate.validTo).getUTCFullYear(), 2051);
});

test('who opens an authority a second time issues under the same one', async () => {
  const again = await CertificateAuthority.open(directory);
  assert.is(again.certificate, authority.certificate);
  const certificate = new X509Certificate((await again.issueForAmphora(AMPHORA, 1)).certificate);
  assert.ok(certificate.verify(new X509Certificate(authority.certificate).publicKey));
});

test('both sides of a TLS connection accept each other, and nobody of another authority', async () => {
  const own = await authority.issueForAmphora(AMPHORA, 30);
  const server = createServer({
    cert: own.certificate,
    key: own.privateKey,
    ca: authority.certificate,
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const shake = async (as: CertificateAuthority) => {
    const client = await as.issueForController(1);
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    const refused = once(server, 'tlsClientError').then(() => 'refused');
    const socket = connect({
      port: (server.address() as AddressInfo).port,
      host: '127.0.0.1',
      servername: AMPHORA,
      ca: authority.certificate,
      cert: client.certificate,
      key: client.privateKey,
    });
    socket.on('error', () => {});
    try {
      return await Promise.race([accepted.then(([peer]) => peer.getPeerCertificate().subject.CN), refused]);
    } finally {
      socket.destroy();
    }
  };
  const other = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  try {
    assert.is(await shake(authority), CONTROLLER_NAME);
    assert.is(await shake(await CertificateAuthority.open(other)), 'refused');
  } finally {
    rmSync(other, { recursive: true });
    server.close();
  }
});

test.run();
