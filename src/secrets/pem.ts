import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { X509Certificate as X509Issuer } from '@peculiar/x509';
import { TerminalError } from '../model/errors.ts';
import type { CertificateSecret } from './secret-store.ts';

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n[A-Za-z0-9+/=\s]+-----END \1-----/g;

/** The objects of a PEM text whose label ends like this; what stands between them is dropped. */
function blocks(text: string, label: string): string[] {
  return [...text.matchAll(BLOCK)].filter(([, found]) => found?.endsWith(label)).map(([block]) => block);
}

export function malformed(reason: string, cause?: unknown): TerminalError {
  return new TerminalError('secret_malformed', reason, { cause });
}

/**
 * Certificate, key and intermediates of a PEM bundle, in whatever order they come.
 * @throws TerminalError `secret_malformed`
 */
export function parseCertificateBundle(text: string): CertificateSecret {
  const [keyBlock, ...otherKeys] = blocks(text, 'PRIVATE KEY');
  if (keyBlock === undefined || otherKeys.length > 0) throw malformed('it must hold exactly one private key');
  const key = parseKey(keyBlock);
  const certificates = parseCertificates(text);
  const certificate = certificates.find((each) => each.checkPrivateKey(key));
  if (!certificate) throw malformed('it holds no certificate that the private key belongs to');
  return {
    certificate: certificate.toString(),
    privateKey: String(key.export({ type: 'pkcs8', format: 'pem' })),
    intermediates: chainOf(certificate, certificates).map(String),
  };
}

/**
 * Certificates of authorities, one PEM text.
 * @throws TerminalError `secret_malformed`
 */
export function authorities(text: string): string {
  const certificates = parseCertificates(text);
  if (certificates.length === 0) throw malformed('it holds no certificate');
  return certificates.join('');
}

/**
 * A revocation list that one of these authorities signed, one PEM text.
 * @throws TerminalError `secret_malformed`
 */
export async function revocationList(text: string, authorityText: string): Promise<string> {
  const lists = blocks(text, 'X509 CRL');
  if (lists.length === 0) throw malformed('it holds no certificate revocation list');
  const x509 = await loadX509();
  const issuers = parseCertificates(authorityText).map((issuer) => new x509.X509Certificate(issuer.raw));
  for (const list of lists) {
    if (!(await isSignedByOne(list, issuers)))
      throw malformed('the revocation list is not signed by the certificate authority that was given');
  }
  return `${lists.join('\n')}\n`;
}

/** Node.js reads no revocation lists. What does is large, and seldom needed. */
async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

async function isSignedByOne(list: string, issuers: X509Issuer[]): Promise<boolean> {
  try {
    const { X509Crl } = await loadX509();
    const crl = new X509Crl(list);
    for (const issuer of issuers) if (await crl.verify({ publicKey: issuer })) return true;
    return false;
  } catch (cause) {
    throw malformed('the certificate revocation list cannot be parsed', cause);
  }
}

function parseKey(block: string): KeyObject {
  try {
    return createPrivateKey(block);
  } catch (cause) {
    throw malformed('the private key cannot be used; it must not be encrypted', cause);
  }
}

function parseCertificates(text: string): X509Certificate[] {
  try {
    return blocks(text, 'CERTIFICATE').map((block) => new X509Certificate(block));
  } catch (cause) {
    throw malformed('a certificate cannot be parsed', cause);
  }
}

/** Issuers from the certificate upwards, as far as they are there; a root is everybody's own business. */
function chainOf(certificate: X509Certificate, candidates: X509Certificate[]): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let last = certificate; chain.length < candidates.length; ) {
    const issuer = candidates.find((each) => last.checkIssued(each) && !each.checkIssued(each));
    if (!issuer || issuer.fingerprint256 === last.fingerprint256) break;
    chain.push(issuer);
    last = issuer;
  }
  return chain;
}
