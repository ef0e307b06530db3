import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  bitString,
  boolean,
  contentsOf,
  elements,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  tagged,
  time,
  utf8String,
} from './der.ts';

const DAY = 86_400_000;

/** Who signs. */
export interface Issuer {
  /** In DER, as it stands in the issuer's own certificate. */
  name: Buffer;
  /** ECDSA, P-256. */
  key: KeyObject;
}

export interface CertificateContents {
  subject: Buffer;
  /** SubjectPublicKeyInfo in DER. */
  publicKey: Buffer;
  expires: Date;
  /** Besides the identifier of the subject's key. */
  extensions: Buffer[];
}

const ecdsaWithSHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const version3 = tagged(0, true, integer(Buffer.of(2)));

/** An X.509 certificate (RFC 5280) as PEM, valid from a day ago, for the sake of clocks that are slow. */
export function signCertificate(contents: CertificateContents, issuer: Issuer): string {
  const { subject, publicKey, expires, extensions } = contents;
  const signed = sequence(
    version3,
    integer(serialNumber()),
    ecdsaWithSHA256,
    issuer.name,
    sequence(time(new Date(Date.now() - DAY)), time(expires)),
    subject,
    publicKey,
    tagged(3, true, sequence(...extensions, subjectKeyIdentifier(publicKey))),
  );
  return pem(sequence(signed, ecdsaWithSHA256, bitString(sign('sha256', signed, issuer.key))));
}

/** The subject of a certificate, both in DER. */
export function subjectOf(certificate: Buffer): Buffer {
  const [signed] = elements(certificate);
  const subject = signed && elements(signed)[5];
  if (subject === undefined) throw new Error('the certificate has no subject');
  return subject;
}

/** `CN=<name>`. */
export function commonName(name: string): Buffer {
  return sequence(set(sequence(objectIdentifier('2.5.4.3'), utf8String(name))));
}

/** @param pathLength how many authorities may follow; undefined for a certificate that may issue none. */
export const basicConstraints = (pathLength?: number): Buffer => {
  const authority = pathLength === undefined ? [] : [boolean(true), integer(Buffer.of(pathLength))];
  return extension('2.5.29.19', sequence(...authority), true);
};

export const keyUsages = {
  /** digitalSignature and keyAgreement. */
  endEntity: keyUsage(0b10001000, 3),
  /** keyCertSign and cRLSign. */
  authority: keyUsage(0b00000110, 1),
};

function keyUsage(bits: number, unused: number): Buffer {
  return extension('2.5.29.15', bitString(Buffer.of(bits), unused), true);
}

export type Purpose = 'serverAuth' | 'clientAuth';

export const extendedKeyUsage = (purpose: Purpose): Buffer =>
  extension('2.5.29.37', sequence(objectIdentifier(`1.3.6.1.5.5.7.3.${purpose === 'serverAuth' ? 1 : 2}`)));

export const subjectAltName = (dnsName: string): Buffer =>
  extension('2.5.29.17', sequence(tagged(2, false, Buffer.from(dnsName))));

const subjectKeyIdentifier = (publicKey: Buffer): Buffer =>
  extension('2.5.29.14', octetString(keyIdentifier(publicKey)));

/** Names the issuer's key as the issuer's own certificate does. */
export const authorityKeyIdentifier = (publicKey: Buffer): Buffer =>
  extension('2.5.29.35', sequence(tagged(0, false, keyIdentifier(publicKey))));

/** The hash of the key itself, without what is said about it (RFC 5280, 4.2.1.2). */
function keyIdentifier(publicKey: Buffer): Buffer {
  const bits = elements(publicKey)[1];
  if (bits === undefined) throw new Error('a public key without a key');
  return createHash('sha1').update(contentsOf(bits).subarray(1)).digest();
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(objectIdentifier(id), ...(critical ? [boolean(true)] : []), octetString(value));
}

/** Positive and 128 bits long (RFC 5280, 4.1.2.2). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----'].join('\n');
}
