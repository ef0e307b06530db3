import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { programEnvironment } from '../../src/config.ts';
import type { AmphoraeError } from '../../src/model/errors.ts';
import { FileStore } from '../../src/secrets/file-store.ts';
import { authorities, revocationList } from '../../src/secrets/pem.ts';
import { createTestPki } from '../support/test-pki.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
test.after(() => rmSync(directory, { recursive: true }));

const secrets = join(directory, 'secrets');
mkdirSync(secrets);
const env = programEnvironment();
const store = new FileStore({ directory: secrets, env });
const pki = await createTestPki();
const { cert, key } = await pki.issue('www.example.com');
const other = await pki.issue('other.example.com');

function file(name: string, content: string): string {
  writeFileSync(join(secrets, name), content);
  return `file:${name}`;
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: secrets, env, stdio: 'pipe' });
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'success',
    (error: AmphoraeError) => `${error.kind} ${error.code}`,
  );
}

test('a certificate is the same from PEM in any order and from PKCS#12 of any age', async () => {
  file('certificate.pem', cert);
  file('key.pem', key);
  const bundle = ['-inkey', 'key.pem', '-in', 'certificate.pem', '-passout', 'pass:'];
  openssl('pkcs12', '-export', ...bundle, '-out', 'www.p12');
  openssl('pkcs12', '-export', '-legacy', ...bundle, '-out', 'old.p12');
  const expected = await store.certificate(file('www.pem', `${cert}\n${key}\n`));
  assert.equal(expected.intermediates, []);
  assert.match(expected.privateKey, /^-----BEGIN PRIVATE KEY-----\n/);
  const reversed = file('reversed.pem', `subject=words\n${key}\n${pki.ca}\n${other.cert}\n${cert}`);
  for (const ref of [reversed, 'file:www.p12', 'file:old.p12'])
    assert.equal(await store.certificate(ref), expected, ref);
});

test('intermediates are kept, nearest first, and the root is left out', async () => {
  const upper = await pki.subordinate('upper authority');
  const lower = await upper.subordinate('lower authority');
  const leaf = await lower.issue('deep.example.com');
  const { intermediates } = await store.certificate(
    file('deep.pem', [pki.ca, upper.ca, leaf.key, lower.ca, leaf.cert].join('\n')),
  );
  const names = intermediates.map((pem) => new X509Certificate(pem).subject);
  assert.equal(names, ['CN=lower authority', 'CN=upper authority']);
});

test('what is not a certificate with its key is refused with the reason', async () => {
  const cases: [string, RegExp][] = [
    [file('nothing.pem', 'nothing'), /exactly one private key/],
    [file('two-keys.pem', cert + key + other.key), /exactly one private key/],
    [file('foreign.pem', `${other.cert}\n${key}`), /no certificate that the private key belongs to/],
    [file('broken.pem', `${cert.replace(/MII/, 'AAA')}\n${key}`), /cannot be parsed/],
    [file('broken.p12', '0\u0082 and more'), /PKCS#12/],
  ];
  for (const [ref, message] of cases) {
    try {
      await store.certificate(ref);
      assert.unreachable(ref);
    } catch (error) {
      assert.is((error as AmphoraeError).code, 'secret_malformed');
      assert.match((error as Error).message, message);
      assert.ok((error as Error).message.startsWith(`secret ${ref}: `));
    }
  }
});

test('a reference reaches no file outside the directory', async () => {
  writeFileSync(join(directory, 'outside.pem'), cert);
  const references = [
    'file:../outside.pem',
    'file:a/../../outside.pem',
    `file:${directory}/outside.pem`,
    'file:.',
  ];
  for (const ref of [
    ...references,
    'file:',
    'file:.hidden',
    'file:a\0b',
    'https://barbican/v1/secrets/1',
    '',
  ])
    assert.is(await codeOf(store.pem(ref)), 'terminal secret_ref_unsupported', ref);
});

test('a file that is not there, and one that cannot be read now, are told apart', async () => {
  assert.is(await codeOf(store.pem('file:absent.pem')), 'terminal secret_not_found');
  symlinkSync('loop.pem', join(secrets, 'loop.pem'));
  assert.is(await codeOf(store.pem('file:loop.pem')), 'transient secret_store_unavailable');
});

test('authorities are certificates; a revocation list is one of theirs', async () => {
  const stranger = await createTestPki();
  assert.match(authorities(`words\n${pki.ca}`), /^-----BEGIN CERTIFICATE-----/);
  assert.throws(() => authorities(key), /no certificate/);
  const own = await pki.revoke([]);
  assert.match(await revocationList(`words\n${own}`, pki.ca), /^-----BEGIN X509 CRL-----/);
  assert.is(await codeOf(revocationList(await stranger.revoke([]), pki.ca)), 'terminal secret_malformed');
  assert.is(await codeOf(revocationList(pki.ca, pki.ca)), 'terminal secret_malformed');
});

test.run();
