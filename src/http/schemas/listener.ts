import * as z from 'zod';
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
import { checkTls, listenerTls, SecretRef, type TlsLimits, withTlsDefaults } from './tls.ts';

const Protocol = z.enum(['TCP', 'HTTP', 'HTTPS', 'TERMINATED_HTTPS', 'UDP', 'SCTP', 'PROMETHEUS']);
const Milliseconds = integer(0, 2_073_600_000);

const mutable = {
  ...described,
  ...listenerTls,
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

export type ListenerValues = Omit<
  z.output<typeof ListenerPost>,
  'loadbalancer_id' | 'default_pool_id' | 'project_id' | 'tenant_id'
>;

/** What the rules between attributes of a listener are about. */
type Values = Pick<
  ListenerValues,
  | 'protocol'
  | 'insert_headers'
  | 'default_tls_container_ref'
  | 'sni_container_refs'
  | 'client_ca_tls_container_ref'
  | 'client_crl_container_ref'
  | 'client_authentication'
  | 'tls_ciphers'
  | 'tls_versions'
  | 'hsts_max_age'
  | 'hsts_include_subdomains'
  | 'hsts_preload'
>;

const HEADERS = ['For', 'Port', 'Proto', 'IP']
  .map((suffix) => `X-Forwarded-${suffix}`)
  .concat('X-Client-IP', 'X-Real-IP');
const TLS_HEADERS = ['Verify', 'Has-Cert', 'DN', 'CN', 'SHA1', 'Not-Before', 'Not-After']
  .map((suffix) => `X-SSL-Client-${suffix}`)
  .concat('X-SSL-Issuer');

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

/** What listeners can be here. */
export interface ListenerLimits {
  /** Whether the amphorae can balance UDP and SCTP, which is the work of LVS in their kernel. */
  lvs: boolean;
  tlsTermination: boolean;
  prometheus: boolean;
  tls: TlsLimits;
}

/** A new listener with the settings that its protocol has by default. */
export function completeListener<T extends ListenerValues>(listener: T): T {
  return listener.protocol === 'TERMINATED_HTTPS' ? withTlsDefaults(listener) : listener;
}

/**
 * The rules between attributes of a listener, given as it would be after the request.
 * @throws Fault 400, or 501 for what the amphorae cannot do
 */
export function checkListener(listener: Values, limits: ListenerLimits): void {
  const { protocol } = listener;
  checkProtocol(protocol, limits);
  checkHeaders(protocol, Object.keys(listener.insert_headers));
  checkReferences(listener);
  checkTls(listener, limits.tls);
  const { hsts_max_age: maxAge, hsts_include_subdomains: subdomains, hsts_preload: preload } = listener;
  if (protocol !== 'TERMINATED_HTTPS' && (maxAge !== null || subdomains || preload))
    throw invalidInput('hsts_max_age', maxAge, 'HSTS is for TERMINATED_HTTPS listeners only.');
  if (maxAge === null && (subdomains || preload))
    throw badRequest('hsts_include_subdomains and hsts_preload need hsts_max_age.');
}

function checkProtocol(protocol: ListenerProtocol, limits: ListenerLimits): void {
  if ((protocol === 'UDP' || protocol === 'SCTP') && !limits.lvs) {
    throw notImplemented(
      `${protocol} listeners need IPVS in the kernel of the amphorae, which is not there: load the module ip_vs.`,
    );
  }
  if (
    (protocol === 'TERMINATED_HTTPS' && !limits.tlsTermination) ||
    (protocol === 'PROMETHEUS' && !limits.prometheus)
  )
    throw badRequest(`Listeners of protocol ${protocol} are disabled by configuration.`);
}

function checkReferences(listener: Values): void {
  const {
    protocol,
    default_tls_container_ref: fallback,
    sni_container_refs: sni,
    client_ca_tls_container_ref: clientCa,
    client_crl_container_ref: crl,
    client_authentication: authentication,
  } = listener;
  const given = [fallback, ...sni, clientCa, crl].find((ref) => ref !== null);
  const speaksTls = protocol === 'TERMINATED_HTTPS' || protocol === 'PROMETHEUS';
  if (given !== undefined && !speaksTls)
    throw badRequest(`A ${protocol} listener takes no TLS references, as ${given}.`);
  const certified = fallback !== null || sni.length > 0;
  if (!certified && (protocol === 'TERMINATED_HTTPS' || given !== undefined)) {
    throw invalidInput(
      'default_tls_container_ref',
      fallback,
      'A listener that speaks TLS needs it, or sni_container_refs.',
    );
  }
  if (clientCa === null && authentication !== 'NONE') {
    throw invalidInput('client_authentication', authentication, 'It needs client_ca_tls_container_ref.');
  }
  if (clientCa === null && crl !== null)
    throw invalidInput('client_crl_container_ref', crl, 'It needs client_ca_tls_container_ref.');
}

/** Only the names matter: a value other than `true` inserts nothing. */
function checkHeaders(protocol: ListenerProtocol, names: string[]): void {
  const known = protocol === 'TERMINATED_HTTPS' ? [...HEADERS, ...TLS_HEADERS] : HEADERS;
  if (names.length > 0 && protocol !== 'HTTP' && protocol !== 'TERMINATED_HTTPS') {
    throw invalidInput('insert_headers', names.join(', '), `Headers cannot be inserted into ${protocol}.`);
  }
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw invalidInput('insert_headers', unknown, `Value should be one of: ${known.join(', ')}`);
}

/**
 * Check who may talk to a listener against the load balancer that it is of.
 * @param vips addresses of the load balancer.
 * @throws Fault 400
 */
export function checkAllowedCidrs(cidrs: string[], vips: string[], vipSecurityGroups: string[]): void {
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
