import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeys, type Issuer, signAuthority, signLeaf } from './certificate.ts';

/** Name of the controller's certificate; agents accept no other (contract D1). */
export const CONTROLLER_NAME = 'amphorae-controller';

const AUTHORITY_NAME = 'Amphorae certificate authority';
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
  readonly #issuer: Issuer;

  private constructor(certificate: string, privateKey: string) {
    this.certificate = certificate;
    this.#issuer = {
      name: AUTHORITY_NAME,
      publicKey: new X509Certificate(certificate).publicKey,
      privateKey: createPrivateKey(privateKey),
    };
  }

  /** Open the authority in `directory`; the first process to ask makes it. */
  static open(directory: string): CertificateAuthority {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, 'authority.pem');
    const stored = readIfPresent(path) ?? create(path);
    const [certificate, privateKey] = stored.split(/(?=-----BEGIN PRIVATE KEY-----)/) as [string, string];
    return new CertificateAuthority(certificate, privateKey);
  }

  /** A server certificate for an amphora's agent: its name is the amphora's id (contract D1, F6). */
  issueForAmphora(amphoraId: string, days: number): IssuedCredentials {
    return this.#issue(amphoraId, days, 'server');
  }

  /** The client certificate with which a controller speaks to agents. */
  issueForController(days: number): IssuedCredentials {
    return this.#issue(CONTROLLER_NAME, days, 'client');
  }

  #issue(name: string, days: number, usage: 'server' | 'client'): IssuedCredentials {
    const { publicKey, privateKey } = generateKeys();
    const { notBefore, notAfter } = validity(days);
    const certificate = signLeaf({ name, publicKey, notBefore, notAfter }, usage, this.#issuer);
    return { certificate, privateKey: exportKey(privateKey), expires: notAfter };
  }
}

/** Make an authority and store it; when another process was faster, take the other's. */
function create(path: string): string {
  const keys = generateKeys();
  const certificate = signAuthority({ ...keys, name: AUTHORITY_NAME }, validity(3650));
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${certificate}\n${exportKey(keys.privateKey)}`, { mode: 0o600 });
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

/** From yesterday, because clocks differ. */
function validity(days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - DAY), notAfter: new Date(Date.now() + days * DAY) };
}

function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
