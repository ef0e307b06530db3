import * as z from 'zod';
import type { TlsVersion } from '../../model/graph.ts';
import { attribute, text } from '../attributes.ts';
import { invalidInput } from '../fault.ts';

/** From the oldest to the newest. */
const VERSIONS = ['SSLv3', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const satisfies TlsVersion[];
const Ciphers = text(2048).regex(/^[A-Za-z0-9\-+!:@=_.]*$/, 'Value should be an OpenSSL cipher list');
const Versions = z.array(z.enum(VERSIONS)).min(1);
const Protocols = z.array(z.enum(['h2', 'http/1.1', 'http/1.0'])).min(1);

/** A reference into the store of secrets. */
export const SecretRef = text(255);

/** What speaks TLS when it is not told how (contract A9). */
export const TLS_DEFAULTS = {
  tls_ciphers: [
    ...['AES_128_GCM_SHA256', 'AES_256_GCM_SHA384', 'CHACHA20_POLY1305_SHA256'].map(
      (suite) => `TLS_${suite}`,
    ),
    ...['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].flatMap((suite) => [
      `ECDHE-ECDSA-${suite}`,
      `ECDHE-RSA-${suite}`,
    ]),
    ...['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].map((suite) => `DHE-RSA-${suite}`),
  ].join(':'),
  tls_versions: ['TLSv1.2', 'TLSv1.3'] as TlsVersion[],
  alpn_protocols: ['h2', 'http/1.1', 'http/1.0'] as z.output<typeof Protocols>,
};

/** How listeners and pools speak TLS. */
export const tls = {
  tls_ciphers: attribute(Ciphers, null),
  tls_versions: attribute(Versions, null),
  alpn_protocols: attribute(Protocols, null),
};

/** In the PUT of a listener, null is the default, whatever its protocol (contract A9). */
export const listenerTls = {
  tls_ciphers: { post: tls.tls_ciphers.post, put: attribute(Ciphers, TLS_DEFAULTS.tls_ciphers).put },
  tls_versions: { post: tls.tls_versions.post, put: attribute(Versions, TLS_DEFAULTS.tls_versions).put },
  alpn_protocols: {
    post: tls.alpn_protocols.post,
    put: attribute(Protocols, TLS_DEFAULTS.alpn_protocols).put,
  },
};

interface TlsValues {
  tls_ciphers: string | null;
  tls_versions: TlsVersion[] | null;
  alpn_protocols: string[] | null;
}

/** With the defaults for what was left out. */
export function withTlsDefaults<T extends TlsValues>(values: T): T {
  return {
    ...values,
    tls_ciphers: values.tls_ciphers ?? TLS_DEFAULTS.tls_ciphers,
    tls_versions: values.tls_versions ?? TLS_DEFAULTS.tls_versions,
    alpn_protocols: values.alpn_protocols ?? TLS_DEFAULTS.alpn_protocols,
  };
}

/** What the operator does not allow. */
export interface TlsLimits {
  prohibitedCiphers: string[];
  minimumVersion: TlsVersion | undefined;
}

/** @throws Fault 400 for ciphers and versions that are not allowed */
export function checkTls(
  { tls_ciphers: ciphers, tls_versions: versions }: Pick<TlsValues, 'tls_ciphers' | 'tls_versions'>,
  { prohibitedCiphers, minimumVersion }: TlsLimits,
): void {
  const prohibited = ciphers?.split(':').find((cipher) => prohibitedCiphers.includes(cipher));
  if (prohibited !== undefined)
    throw invalidInput('tls_ciphers', prohibited, 'The cipher is prohibited by configuration.');
  if (versions === null || minimumVersion === undefined) return;
  const allowed = VERSIONS.slice(VERSIONS.indexOf(minimumVersion));
  const old = versions.find((version) => !allowed.includes(version));
  if (old !== undefined)
    throw invalidInput('tls_versions', old, `Value should be one of: ${allowed.join(', ')}`);
}
