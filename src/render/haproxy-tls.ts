import type { ListenerNode, LoadBalancerGraph, PoolNode, TlsVersion } from '../model/graph.ts';
import { line, quote } from './haproxy-syntax.ts';
import { certificateListOf, listenerTls, poolTls, type TlsFiles, tlsPath } from './tls-files.ts';

type TlsSettings = Pick<ListenerNode | PoolNode, 'tlsCiphers' | 'tlsVersions' | 'alpnProtocols'>;

/** Options of `bind` (contract E2); undefined for a listener without certificates. */
export function bindTls(
  graph: LoadBalancerGraph,
  listener: ListenerNode,
  files: TlsFiles,
): string | undefined {
  const { certificates, authorities, revocationList } = listenerTls(listener);
  if (certificates.length === 0) return undefined;
  const path = (name: string) => tlsPath(graph, name);
  return line(
    `ssl crt-list ${path(certificateListOf(listener))}`,
    authorities &&
      `ca-file ${path(files.nameOf(authorities))} verify ${verification[listener.clientAuthentication]}`,
    revocationList && `crl-file ${path(files.nameOf(revocationList))}`,
    protocolOptions(listener),
  );
}

const verification: Record<ListenerNode['clientAuthentication'], string> = {
  NONE: 'none',
  OPTIONAL: 'optional',
  MANDATORY: 'required',
};

/**
 * Options of `server` for TLS to a member (contract E3); undefined for a pool without. A member is verified when there is
 * an authority to verify it by.
 */
export function serverTls(graph: LoadBalancerGraph, pool: PoolNode, files: TlsFiles): string | undefined {
  if (!pool.tlsEnabled) return undefined;
  const { certificates, authorities, revocationList } = poolTls(pool);
  const path = (name: string) => tlsPath(graph, name);
  return line(
    'ssl',
    ...certificates.map((certificate) => `crt ${path(files.nameOf(certificate))}`),
    authorities && `ca-file ${path(files.nameOf(authorities))}`,
    revocationList && `crl-file ${path(files.nameOf(revocationList))}`,
    `verify ${authorities ? 'required' : 'none'}`,
    'sni ssl_fc_sni',
    protocolOptions(pool),
  );
}

function protocolOptions({ tlsCiphers, tlsVersions, alpnProtocols }: TlsSettings): string {
  const { ciphers, suites } = splitCiphers(tlsCiphers ?? '');
  const onlySuites = suites !== '' && ciphers === '';
  return line(
    ciphers !== '' && `ciphers ${quote(ciphers)}`,
    suites !== '' && `ciphersuites ${quote(suites)}`,
    versionRange(onlySuites ? ['TLSv1.3'] : (tlsVersions ?? [])),
    alpnProtocols !== null && alpnProtocols.length > 0 && `alpn ${alpnProtocols.join(',')}`,
  );
}

/** OpenSSL has a list of its own for TLS 1.3, and refuses one for older versions that names only suites of 1.3. */
function splitCiphers(list: string): { ciphers: string; suites: string } {
  const { suites = [], ciphers = [] } = Object.groupBy(list.split(':').filter(Boolean), (name) =>
    name.startsWith('TLS_') ? 'suites' : 'ciphers',
  );
  return { suites: suites.join(':'), ciphers: ciphers.join(':') };
}

const VERSIONS: TlsVersion[] = ['SSLv3', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

/**
 * haproxy takes a range, and without a lower end nothing below TLS 1.2 whatever `no-...` says. Of versions with a gap,
 * the newer ones are served.
 */
function versionRange(wanted: TlsVersion[]): string | undefined {
  const last = VERSIONS.findLastIndex((version) => wanted.includes(version));
  if (last < 0) return undefined;
  const gap = VERSIONS.findLastIndex((version, index) => index < last && !wanted.includes(version));
  const name = (version = '') => (version === 'TLSv1' ? 'TLSv1.0' : version);
  return `ssl-min-ver ${name(VERSIONS[gap + 1])} ssl-max-ver ${name(VERSIONS[last])}`;
}
