import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import * as der from './der.ts';

const ECDSA_WITH_SHA256 = der.sequence(der.objectIdentifier('1.2.840.10045.4.3.2'));
const COMMON_NAME = der.objectIdentifier('2.5.4.3');

/** Bits of the extension KeyUsage, from the first (RFC 5280, 4.2.1.3), and how many at the end of its byte are unused. */
const keyUsages = {
  authority: der.bitString(Buffer.of(0b0000_0110), 1), // keyCertSign, cRLSign
  leaf: der.bitString(Buffer.of(0b1000_1000), 3), // digitalSignature, keyAgreement
};

const extendedKeyUsages = {
  server: der.objectIdentifier('1.3.6.1.5.5.7.3.1'),
  client: der.objectIdentifier('1.3.6.1.5.5.7.3.2'),
};

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

export interface Issuer extends KeyPair {
  name: string;
}

interface Certificate {
  /** Common name of the subject. */
  name: string;
  publicKey: KeyObject;
  notBefore: Date;
  notAfter: Date;
}

/** A new key pair on P-256. */
export function generateKeys(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** The certificate of an authority, signed by itself: it may sign certificates, but no further authorities. */
export function signAuthority(authority: Issuer, validity: { notBefore: Date; notAfter: Date }): string {
  return signed({ ...validity, ...authority }, authority, [
    extension('2.5.29.19', true, der.sequence(der.boolean(true), der.integer(0))), // basicConstraints
    extension('2.5.29.15', true, keyUsages.authority),
    extension('2.5.29.14', false, der.octetString(keyIdentifier(authority.publicKey))),
  ]);
}

/** The certificate of a TLS server or client. Its name is also its DNS name, because clients look only there. */
export function signLeaf(
  certificate: Certificate,
  usage: keyof typeof extendedKeyUsages,
  issuer: Issuer,
): string {
  return signed(certificate, issuer, [
    extension('2.5.29.19', true, der.sequence()), // basicConstraints: no authority
    extension('2.5.29.15', true, keyUsages.leaf),
    extension('2.5.29.37', false, der.sequence(extendedKeyUsages[usage])),
    extension('2.5.29.17', false, der.sequence(der.tagged(0x82, Buffer.from(certificate.name)))), // subjectAltName
    extension('2.5.29.14', false, der.octetString(keyIdentifier(certificate.publicKey))),
    extension('2.5.29.35', false, der.sequence(der.tagged(0x80, keyIdentifier(issuer.publicKey)))),
  ]);
}

/** An X.509 certificate of version 3 as PEM (RFC 5280, 4.1). */
function signed(
  { name, publicKey, notBefore, notAfter }: Certificate,
  issuer: Issuer,
  extensions: Buffer[],
): string {
  const content = der.sequence(
    der.tagged(0xa0, der.integer(2)),
    der.tagged(0x02, serialNumber()),
    ECDSA_WITH_SHA256,
    commonName(issuer.name),
    der.sequence(der.time(notBefore), der.time(notAfter)),
    commonName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der.tagged(0xa3, der.sequence(...extensions)),
  );
  const signature = sign('sha256', content, issuer.privateKey);
  return pem(der.sequence(content, ECDSA_WITH_SHA256, der.bitString(signature)));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der.boolean(true)] : [];
  return der.sequence(der.objectIdentifier(id), ...flag, der.octetString(value));
}

function commonName(text: string): Buffer {
  return der.sequence(der.setOf(der.sequence(COMMON_NAME, der.utf8String(text))));
}

/** SHA-1 of the point, as RFC 5280, 4.2.1.2 suggests; it identifies and protects nothing. */
function keyIdentifier(publicKey: KeyObject): Buffer {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  return createHash('sha1')
    .update(Buffer.of(4))
    .update(Buffer.from(x, 'base64url'))
    .update(Buffer.from(y, 'base64url'))
    .digest();
}

/** Positive and 128 bits long (RFC 5280, 4.1.2.2). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----'].join('\n');
}
