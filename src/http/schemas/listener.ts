import { z } from 'zod';
import type { ListenerProtocol, PoolProtocol } from '../../model/graph.ts';
import {
  attribute,
  Cidr,
  described,
  Flag,
  integer,
  onPost,
  onPut,
  Port,
  project,
  text,
  Uuid,
} from '../attributes.ts';
import { badRequest, invalidInput, notImplemented } from '../fault.ts';
import { familyOf } from '../ip.ts';

const Protocol = z.enum(['TCP', 'HTTP', 'HTTPS', 'TERMINATED_HTTPS', 'UDP', 'SCTP', 'PROMETHEUS']);
const Milliseconds = integer(0, 2_073_600_000);
const SecretRef = text(255);
const TlsVersion = z.enum(['SSLv3', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']);
const Alpn = z.enum(['h2', 'http/1.1', 'http/1.0']);
const Ciphers = text(2048).regex(/^[A-Za-z0-9\-+!:@=_.]*$/, 'Value should be an OpenSSL cipher list');

/** TLS attributes that listeners and pools share. */
export const tls = {
  tls_ciphers: attribute(Ciphers, null),
  tls_versions: attribute(z.array(TlsVersion).min(1), null),
  alpn_protocols: attribute(z.array(Alpn).min(1), null),
};

const mutable = {
  ...described,
  ...tls,
  connection_limit: attribute(integer(-1), -1),
  default_pool_id: attribute(Uuid, null),
  insert_headers: attribute(z.record(text(255), text(255)), {}),
  timeout_client_data: attribute(Milliseconds, 50_000),
  timeout_member_connect: attribute(Milliseconds, 5_000),
  timeout_member_data: attribute(Milliseconds, 50_000),
  timeout_tcp_inspect: attribute(Milliseconds, 0),
  allowed_cidrs: attribute(
    z.array(Cidr).transform((cidrs) => (cidrs.length > 0 ? cidrs : null)),
    null,
  ),
  default_tls_container_ref: attribute(SecretRef, null),
  sni_container_refs: attribute(z.array(SecretRef), []),
  client_ca_tls_container_ref: attribute(SecretRef, null),
  client_crl_container_ref: attribute(SecretRef, null),
  client_authentication: attribute(z.enum(['NONE', 'OPTIONAL', 'MANDATORY']), 'NONE'),
  hsts_max_age: attribute(integer(0), null),
  hsts_include_subdomains: attribute(Flag, false),
  hsts_preload: attribute(Flag, false),
};

/** Attributes of a listener inside the POST of a load balancer; its pool comes as `default_pool` there. */
const { default_pool_id: defaultPoolId, ...nested } = onPost(mutable);
export const nestedListener = { ...project, ...nested, protocol: Protocol, protocol_port: Port };

/** Body of `POST /listeners` (contract A9). */
export const ListenerPost = z.strictObject({
  ...nestedListener,
  default_pool_id: defaultPoolId,
  loadbalancer_id: Uuid,
});
/** Body of `PUT /listeners/{id}`. */
export const ListenerPut = z.strictObject(onPut(mutable));

type Values = Pick<
  z.output<typeof ListenerPost>,
  | 'protocol'
  | 'insert_headers'
  | 'allowed_cidrs'
  | 'default_tls_container_ref'
  | 'sni_container_refs'
  | 'client_ca_tls_container_ref'
  | 'client_crl_container_ref'
  | 'client_authentication'
  | 'hsts_max_age'
  | 'hsts_include_subdomains'
  | 'hsts_preload'
>;

const HEADERS = new Set(
  ['For', 'Port', 'Proto', 'IP'].map((suffix) => `X-Forwarded-${suffix}`).concat('X-Client-IP', 'X-Real-IP'),
);

/** Pool protocols that each listener protocol can send its traffic to. */
const COMPATIBLE: Record<ListenerProtocol, PoolProtocol[]> = {
  TCP: ['TCP', 'HTTP', 'HTTPS', 'PROXY', 'PROXYV2'],
  HTTP: ['HTTP', 'PROXY', 'PROXYV2'],
  HTTPS: ['HTTPS', 'PROXY', 'PROXYV2', 'TCP'],
  TERMINATED_HTTPS: ['HTTP', 'PROXY', 'PROXYV2'],
  UDP: ['UDP'],
  SCTP: ['SCTP'],
  PROMETHEUS: [],
};

/** @throws Fault 400 when a listener cannot use a pool of that protocol */
export function checkPoolProtocol(listener: ListenerProtocol, pool: PoolProtocol): void {
  if (COMPATIBLE[listener].includes(pool)) return;
  throw badRequest(`A listener of protocol ${listener} cannot use a pool of protocol ${pool}.`);
}

/**
 * The rules between attributes of a listener, given as it would be after the request.
 * @param vips addresses of the load balancer.
 * @throws Fault 400, or 501 for what the amphorae cannot do yet
 */
export function checkListener(listener: Values, vips: string[], vipSecurityGroups: string[]): void {
  const { protocol } = listener;
  checkSupported(protocol);
  checkHeaders(protocol, Object.keys(listener.insert_headers));
  const references = [
    'default_tls_container_ref',
    'client_ca_tls_container_ref',
    'client_crl_container_ref',
  ] as const;
  for (const name of references) {
    if (listener[name] !== null)
      throw invalidInput(name, listener[name], `A ${protocol} listener takes no TLS references.`);
  }
  if (listener.sni_container_refs.length > 0) {
    throw invalidInput(
      'sni_container_refs',
      listener.sni_container_refs,
      `A ${protocol} listener takes no TLS references.`,
    );
  }
  if (listener.client_authentication !== 'NONE') {
    throw invalidInput(
      'client_authentication',
      listener.client_authentication,
      'It needs client_ca_tls_container_ref.',
    );
  }
  if (listener.hsts_max_age !== null || listener.hsts_include_subdomains || listener.hsts_preload) {
    throw invalidInput('hsts_max_age', listener.hsts_max_age, 'HSTS is for TERMINATED_HTTPS listeners only.');
  }
  checkAllowedCidrs(listener.allowed_cidrs, vips, vipSecurityGroups);
}

function checkSupported(protocol: ListenerProtocol): void {
  switch (protocol) {
    case 'UDP':
    case 'SCTP':
      throw notImplemented(
        `${protocol} listeners are not supported yet: they need IPVS in the kernel of the amphorae.`,
      );
    case 'TERMINATED_HTTPS':
      throw notImplemented(
        'TERMINATED_HTTPS listeners are not supported yet: no certificate store is attached.',
      );
    case 'PROMETHEUS':
      throw notImplemented('PROMETHEUS listeners are not supported yet.');
  }
}

/** Only the names matter: a value other than `true` inserts nothing. */
function checkHeaders(protocol: ListenerProtocol, names: string[]): void {
  if (names.length > 0 && protocol !== 'HTTP') {
    throw invalidInput('insert_headers', names.join(', '), `Headers cannot be inserted into ${protocol}.`);
  }
  const unknown = names.find((name) => !HEADERS.has(name));
  if (unknown === undefined) return;
  throw invalidInput('insert_headers', unknown, `Value should be one of: ${[...HEADERS].join(', ')}`);
}

function checkAllowedCidrs(cidrs: string[] | null, vips: string[], vipSecurityGroups: string[]): void {
  if (cidrs === null) return;
  if (vipSecurityGroups.length > 0) {
    throw invalidInput('allowed_cidrs', cidrs, 'It excludes vip_sg_ids on the load balancer.');
  }
  const families = new Set(vips.map(familyOf));
  const stranger = cidrs.find((cidr) => !families.has(cidr.includes(':') ? 6 : 4));
  if (stranger !== undefined) {
    throw invalidInput(
      'allowed_cidrs',
      stranger,
      'No VIP of the load balancer has an address of that family.',
    );
  }
}

/** The two port-keyed protocols aside, everything is TCP on the wire; one listener may have each port of each. */
export function layer4(protocol: ListenerProtocol): 'TCP' | 'UDP' | 'SCTP' {
  return protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP';
}
