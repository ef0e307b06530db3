import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import { ecdsaWithSHA256 } from '@peculiar/asn1-ecc';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  KeyUsage,
  type KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';

const COMMON_NAME = '2.5.4.3';
const DAY = 86_400_000;

/** Who signs. */
export interface Issuer {
  name: Name;
  /** ECDSA, P-256. */
  key: KeyObject;
}

export interface CertificateContents {
  subject: Name;
  /** SubjectPublicKeyInfo in DER. */
  publicKey: Buffer;
  expires: Date;
  /** Besides the identifier of the subject's key. */
  extensions: Extension[];
}

/** An X.509 certificate (RFC 5280) as PEM, valid from a day ago, for the sake of clocks that are slow. */
export function signCertificate(contents: CertificateContents, issuer: Issuer): string {
  const subjectPublicKeyInfo = AsnConvert.parse(contents.publicKey, SubjectPublicKeyInfo);
  const keyIdentifier = createHash('sha1')
    .update(Buffer.from(subjectPublicKeyInfo.subjectPublicKey))
    .digest();
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: ecdsaWithSHA256,
    issuer: issuer.name,
    validity: new Validity({ notBefore: new Date(Date.now() - DAY), notAfter: contents.expires }),
    subject: contents.subject,
    subjectPublicKeyInfo,
    extensions: new Extensions([
      ...contents.extensions,
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdentifier)),
    ]),
  });
  const signature = sign('sha256', new Uint8Array(AsnConvert.serialize(tbsCertificate)), issuer.key);
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: ecdsaWithSHA256,
    signatureValue: new Uint8Array(signature).buffer,
  });
  return pem(AsnConvert.serialize(certificate));
}

/** `CN=<name>`. */
export function commonName(name: string): Name {
  const value = new AttributeValue({ utf8String: name });
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME, value })])]);
}

export const basicConstraints = (constraints: Partial<BasicConstraints>): Extension =>
  extension(id_ce_basicConstraints, new BasicConstraints(constraints), true);

export const keyUsage = (flags: KeyUsageFlags): Extension =>
  extension(id_ce_keyUsage, new KeyUsage(flags), true);

export const extendedKeyUsage = (purpose: string): Extension =>
  extension(id_ce_extKeyUsage, new ExtendedKeyUsage([purpose]));

export const subjectAltName = (dNSName: string): Extension =>
  extension(id_ce_subjectAltName, new SubjectAlternativeName([new GeneralName({ dNSName })]));

/** Names the issuer's key as the issuer's own certificate does. */
export function authorityKeyIdentifier(issuer: Certificate): Extension {
  const own = issuer.tbsCertificate.extensions?.find(({ extnID }) => extnID === id_ce_subjectKeyIdentifier);
  if (own === undefined) throw new Error('the certificate of the authority names no key');
  const keyIdentifier = new KeyIdentifier(AsnConvert.parse(own.extnValue, SubjectKeyIdentifier).buffer);
  return extension(id_ce_authorityKeyIdentifier, new AuthorityKeyIdentifier({ keyIdentifier }));
}

function extension(extnID: string, value: object, critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

/** Positive and 128 bits long (RFC 5280, 4.1.2.2). */
function serialNumber(): ArrayBuffer {
  const bytes = new Uint8Array(randomBytes(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.buffer;
}

function pem(der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----'].join('\n');
}
