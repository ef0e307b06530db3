import { createHash } from 'node:crypto';
import type { ListenerNode, LoadBalancerGraph, PoolNode } from '../model/graph.ts';
import { haproxyListeners, poolsOf } from './desired.ts';

/** A reference into the secret store, and what it is to stand for; the same one may serve several purposes. */
export type TlsReference =
  | { purpose: 'certificate' | 'authorities'; ref: string }
  /** With the authorities, one of which has signed the list. */
  | { purpose: 'revocationList'; ref: string; authorities: string };

/** The files in an amphora for TLS, by what they were made from. */
export class TlsFiles {
  /** Name of a file -> PEM. */
  readonly contents = new Map<string, string>();
  readonly #names = new Map<string, string>();

  add({ purpose, ref }: TlsReference, pem: string): void {
    const name = `${createHash('sha1').update(pem).digest('hex')}.pem`;
    this.contents.set(name, pem);
    this.#names.set(`${purpose} ${ref}`, name);
  }

  /** @throws Error when it was not added: a defect of the caller, who leaves out what could not be read. */
  nameOf({ purpose, ref }: TlsReference): string {
    const name = this.#names.get(`${purpose} ${ref}`);
    if (name === undefined) throw new Error(`there is no file for the ${purpose} ${ref}`);
    return name;
  }
}

/** What a listener or pool needs to speak TLS. */
export interface TlsNeeds {
  /** Of a listener the default one first; of a pool at most one. */
  certificates: TlsReference[];
  authorities?: TlsReference;
  revocationList?: TlsReference;
}

/** What a listener needs to terminate TLS; no certificate when it does not. */
export function listenerTls(listener: ListenerNode): TlsNeeds {
  const { protocol, defaultTlsContainerRef, sniContainerRefs } = listener;
  const terminates = protocol === 'TERMINATED_HTTPS' || protocol === 'PROMETHEUS';
  const refs = new Set(terminates ? [defaultTlsContainerRef, ...sniContainerRefs] : []);
  const needs = needsOf([...refs], listener.clientCaTlsContainerRef, listener.clientCrlContainerRef);
  return needs.certificates.length > 0 ? needs : { certificates: [] };
}

/** What a pool needs to speak TLS to its members. */
export function poolTls(pool: PoolNode): TlsNeeds {
  if (!pool.tlsEnabled) return { certificates: [] };
  return needsOf([pool.tlsContainerRef], pool.caTlsContainerRef, pool.crlContainerRef);
}

/** Everything that a listener cannot serve without: its own material, and that of its pools. */
export function tlsReferences(graph: LoadBalancerGraph, listener: ListenerNode): TlsReference[] {
  const needs = [listenerTls(listener), ...poolsOf(graph, listener).map(poolTls)];
  return needs.flatMap(({ certificates, authorities, revocationList }) => [
    ...certificates,
    ...(authorities ? [authorities] : []),
    ...(revocationList ? [revocationList] : []),
  ]);
}

/** A revocation list means something only with the authority that signed it. */
function needsOf(certificates: (string | null)[], authority: string | null, list: string | null): TlsNeeds {
  return {
    certificates: certificates.flatMap((ref) =>
      ref === null ? [] : [{ purpose: 'certificate' as const, ref }],
    ),
    ...(authority !== null && { authorities: { purpose: 'authorities', ref: authority } }),
    ...(authority !== null &&
      list !== null && {
        revocationList: { purpose: 'revocationList', ref: list, authorities: authority },
      }),
  };
}

/** Where haproxy finds them (contract D3). */
export function tlsPath({ id }: LoadBalancerGraph, file: string): string {
  return `/var/lib/octavia/certs/${id}/${file}`;
}

/** Name of the file that lists the certificates of a listener (contract E2). */
export function certificateListOf({ id }: ListenerNode): string {
  return `${id}.pem`;
}

/** Those lists, by the name of the file. The first certificate is for clients that name no host, or an unknown one. */
export function renderCertificateLists(graph: LoadBalancerGraph, files: TlsFiles): Map<string, string> {
  const lists = haproxyListeners(graph).flatMap((listener): [string, string][] => {
    const { certificates } = listenerTls(listener);
    const paths = certificates.map((reference) => tlsPath(graph, files.nameOf(reference)));
    return paths.length > 0 ? [[certificateListOf(listener), `${paths.join('\n')}\n`]] : [];
  });
  return new Map(lists);
}
