import 'reflect-metadata';
import { randomBytes, type webcrypto, X509Certificate } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

/** Name of the controller's certificate; agents accept no other (contract D1). */
export const CONTROLLER_NAME = 'amphorae-controller';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY = 86_400_000;

/** A certificate with its private key, both PEM. */
export interface Credentials {
  certificate: string;
  privateKey: string;
}

export interface IssuedCredentials extends Credentials {
  expires: Date;
}

/**
 * Issues the certificates of amphorae and of the controller itself. It lives in one file of the data directory (0600)
 * that all controller processes of a host share.
 */
export class CertificateAuthority {
  /** PEM of the authority's own certificate: what both sides trust. */
  readonly certificate: string;
  readonly #issuer: x509.X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(certificate: string, keys: webcrypto.CryptoKeyPair) {
    this.certificate = certificate;
    this.#issuer = new x509.X509Certificate(certificate);
    this.#keys = keys;
  }

  /** Open the authority in `directory`; the first process to ask makes it. */
  static async open(directory: string): Promise<CertificateAuthority> {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, 'authority.pem');
    const stored = readIfPresent(path) ?? (await create(path));
    const [certificate, privateKey] = stored.split(/(?=-----BEGIN PRIVATE KEY-----)/) as [string, string];
    return new CertificateAuthority(certificate, await importKeys(certificate, privateKey));
  }

  /** A server certificate for an amphora's agent: its name is the amphora's id (contract D1, F6). */
  issueForAmphora(amphoraId: string, days: number): Promise<IssuedCredentials> {
    return this.#issue(amphoraId, days, x509.ExtendedKeyUsage.serverAuth);
  }

  /** The client certificate with which a controller speaks to agents. */
  issueForController(days: number): Promise<IssuedCredentials> {
    return this.#issue(CONTROLLER_NAME, days, x509.ExtendedKeyUsage.clientAuth);
  }

  async #issue(name: string, days: number, usage: x509.ExtendedKeyUsage): Promise<IssuedCredentials> {
    const keys = await generateKeys();
    const expires = new Date(Date.now() + days * DAY);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: `CN=${name}`,
      issuer: this.#issuer.subject,
      notBefore: new Date(Date.now() - DAY),
      notAfter: expires,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyAgreement,
          true,
        ),
        new x509.ExtendedKeyUsageExtension([usage]),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
      ],
    });
    return {
      certificate: certificate.toString('pem'),
      privateKey: await exportKey(keys.privateKey),
      expires,
    };
  }
}

/** Make an authority and store it; when another process was faster, take the other's. */
async function create(path: string): Promise<string> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=Amphorae certificate authority',
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + 3650 * DAY),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pem = `${certificate.toString('pem')}\n${await exportKey(keys.privateKey)}\n`;
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, pem, { mode: 0o600 });
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft);
  }
  return readFileSync(path, 'utf8');
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

async function importKeys(certificate: string, privateKey: string): Promise<webcrypto.CryptoKeyPair> {
  const publicKey = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return {
    privateKey: await crypto.subtle.importKey(
      'pkcs8',
      x509.PemConverter.decodeFirst(privateKey),
      algorithm,
      false,
      ['sign'],
    ),
    publicKey: await crypto.subtle.importKey('spki', new Uint8Array(publicKey), algorithm, true, ['verify']),
  };
}

/** Positive and 128 bits long (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
