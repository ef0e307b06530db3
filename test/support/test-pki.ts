import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
} from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

/** A certificate with its private key, both PEM. */
export interface TestIdentity {
  cert: string;
  key: string;
}

/** An authority for tests: `ca` is its certificate, `issue` signs one for a name (common name and DNS name). */
export interface TestPki {
  ca: string;
  issue(name: string): Promise<TestIdentity>;
  /** A revocation list with these certificates (PEM), PEM. */
  revoke(certificates: string[]): Promise<string>;
  /** An authority that this one has signed. */
  subordinate(name: string): Promise<TestPki>;
}

export async function createTestPki(): Promise<TestPki> {
  const keys = await generateKeys();
  return pkiOf(await authority('test authority', keys.publicKey, 'CN=test authority', keys.privateKey), keys);
}

function pkiOf(certificate: X509Certificate, { privateKey }: webcrypto.CryptoKeyPair): TestPki {
  return {
    ca: certificate.toString('pem'),
    issue: (name) => issue(name, certificate, privateKey),
    async revoke(certificates) {
      const list = await X509CrlGenerator.create({
        issuer: certificate.subject,
        thisUpdate: new Date(Date.now() - DAY_MS),
        nextUpdate: new Date(Date.now() + DAY_MS),
        entries: certificates.map((pem) => ({ serialNumber: new X509Certificate(pem).serialNumber })),
        signingAlgorithm: ALGORITHM,
        signingKey: privateKey,
      });
      return PemConverter.encode(list.rawData, 'X509 CRL');
    },
    async subordinate(name) {
      const keys = await generateKeys();
      return pkiOf(await authority(name, keys.publicKey, certificate.subject, privateKey), keys);
    },
  };
}

function authority(
  name: string,
  publicKey: webcrypto.CryptoKey,
  issuer: string,
  signingKey: webcrypto.CryptoKey,
): Promise<X509Certificate> {
  return X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer,
    publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
}

async function issue(
  name: string,
  issuer: X509Certificate,
  signingKey: webcrypto.CryptoKey,
): Promise<TestIdentity> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
  });
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { cert: certificate.toString('pem'), key: PemConverter.encode(key, 'PRIVATE KEY') };
}

function generateKeys() {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}
