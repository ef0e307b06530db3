import { createPrivateKey, generateKeyPair, type KeyObject, X509Certificate } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  authorityKeyIdentifier,
  basicConstraints,
  commonName,
  extendedKeyUsage,
  type Issuer,
  keyUsages,
  type Purpose,
  signCertificate,
  subjectAltName,
  subjectOf,
} from './certificate.ts';

/** Name of the controller's certificate; agents accept no other (contract D1). */
export const CONTROLLER_NAME = 'amphorae-controller';

const DAY = 86_400_000;

/** Of the authority itself. */
const LIFE_DAYS = 3650;

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
  readonly #issuer: Issuer;
  /** What all certificates have in common. */
  readonly #extensions: Buffer[];

  private constructor(certificate: string, key: KeyObject) {
    this.certificate = certificate;
    const own = new X509Certificate(certificate);
    this.#issuer = { name: subjectOf(own.raw), key };
    const publicKey = own.publicKey.export({ type: 'spki', format: 'der' });
    this.#extensions = [basicConstraints(), keyUsages.endEntity, authorityKeyIdentifier(publicKey)];
  }

  /** Open the authority in `directory`; the first process to ask makes it. */
  static async open(directory: string): Promise<CertificateAuthority> {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, 'authority.pem');
    const stored = readIfPresent(path) ?? (await create(path));
    const [certificate, privateKey] = stored.split(/(?=-----BEGIN PRIVATE KEY-----)/) as [string, string];
    return new CertificateAuthority(certificate, createPrivateKey(privateKey));
  }

  /** A server certificate for an amphora's agent: its name is the amphora's id (contract D1, F6). */
  issueForAmphora(amphoraId: string, days: number): Promise<IssuedCredentials> {
    return this.#issue(amphoraId, days, 'serverAuth');
  }

  /** The client certificate with which a controller speaks to agents. */
  issueForController(days: number): Promise<IssuedCredentials> {
    return this.#issue(CONTROLLER_NAME, days, 'clientAuth');
  }

  async #issue(name: string, days: number, purpose: Purpose): Promise<IssuedCredentials> {
    const { publicKey, privateKey } = await generateKeys();
    const expires = new Date(Date.now() + days * DAY);
    const extensions = [...this.#extensions, extendedKeyUsage(purpose), subjectAltName(name)];
    const contents = { subject: commonName(name), publicKey, expires, extensions };
    return { certificate: signCertificate(contents, this.#issuer), privateKey, expires };
  }
}

/** Make an authority and store it; when another process was faster, take the other's. */
async function create(path: string): Promise<string> {
  const { publicKey, privateKey } = await generateKeys();
  const subject = commonName('Amphorae certificate authority');
  const expires = new Date(Date.now() + LIFE_DAYS * DAY);
  const extensions = [basicConstraints(0), keyUsages.authority];
  const self = { name: subject, key: createPrivateKey(privateKey) };
  const pem = `${signCertificate({ subject, publicKey, expires, extensions }, self)}\n${privateKey}`;
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

const generate = promisify(generateKeyPair);

function generateKeys(): Promise<{ publicKey: Buffer; privateKey: string }> {
  return generate('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}
