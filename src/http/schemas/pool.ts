import { isIPv4 } from 'node:net';
import * as z from 'zod';
import type { PoolProtocol, SessionPersistence } from '../../model/graph.ts';
import {
  attribute,
  described,
  Flag,
  integer,
  mandatory,
  onPost,
  onPut,
  optional,
  project,
  text,
  Uuid,
} from '../attributes.ts';
import { invalidInput } from '../fault.ts';
import { checkTls, SecretRef, type TlsLimits, tls, withTlsDefaults } from './tls.ts';

export const PoolProtocolName = z.enum(['TCP', 'HTTP', 'HTTPS', 'PROXY', 'PROXYV2', 'UDP', 'SCTP']);
const Algorithm = z.enum(['ROUND_ROBIN', 'LEAST_CONNECTIONS', 'SOURCE_IP', 'SOURCE_IP_PORT']);
const PersistenceType = z.enum(['SOURCE_IP', 'HTTP_COOKIE', 'APP_COOKIE']);
const persistence = {
  cookie_name: optional(text(255).regex(/^[^\s,;\\\p{Cc}]+$/u, 'Value should be a cookie name')),
  persistence_timeout: optional(integer(0)),
  persistence_granularity: optional(
    z.string().refine((value) => isIPv4(value), 'Value should be an IPv4 netmask'),
  ),
};

const mutable = {
  ...described,
  ...tls,
  lb_algorithm: mandatory(Algorithm),
  tls_enabled: attribute(Flag, false),
  tls_container_ref: attribute(SecretRef, null),
  ca_tls_container_ref: attribute(SecretRef, null),
  crl_container_ref: attribute(SecretRef, null),
};

const created = {
  ...onPost(mutable),
  session_persistence: optional(z.strictObject({ ...persistence, type: PersistenceType })),
};

/** Attributes of a pool inside the POST of a load balancer. */
export const nestedPool = { ...project, ...created, protocol: PoolProtocolName };
/** Body of `POST /pools` (contract A10). */
export const PoolPost = z.strictObject({
  ...nestedPool,
  loadbalancer_id: optional(Uuid),
  listener_id: optional(Uuid),
});
/** Body of `PUT /pools/{id}`. A session persistence without type keeps the type. */
export const PoolPut = z.strictObject({
  ...onPut(mutable),
  session_persistence: z
    .strictObject({ ...persistence, type: PersistenceType.exactOptional() })
    .nullable()
    .exactOptional(),
});

export type PoolValues = Omit<
  z.output<typeof PoolPost>,
  'loadbalancer_id' | 'listener_id' | 'project_id' | 'tenant_id'
>;

/** What the rules between attributes of a pool are about. */
type Values = Pick<
  PoolValues,
  'protocol' | 'ca_tls_container_ref' | 'crl_container_ref' | 'tls_ciphers' | 'tls_versions'
> & { session_persistence: SessionPersistence | null };

/** A new pool with the settings that one that speaks TLS has by default. */
export function completePool<T extends PoolValues>(pool: T): T {
  return pool.tls_enabled ? withTlsDefaults(pool) : pool;
}

/**
 * The rules between attributes of a pool, given as it would be after the request.
 * @throws Fault 400
 */
export function checkPool(pool: Values, limits: TlsLimits): void {
  if (pool.crl_container_ref !== null && pool.ca_tls_container_ref === null) {
    throw invalidInput('crl_container_ref', pool.crl_container_ref, 'It needs ca_tls_container_ref.');
  }
  checkTls(pool, limits);
  if (pool.session_persistence !== null) checkPersistence(pool.protocol, pool.session_persistence);
}

function checkPersistence(protocol: PoolProtocol, given: SessionPersistence): void {
  const datagram = protocol === 'UDP' || protocol === 'SCTP';
  const refuse = (reason: string) => invalidInput('session_persistence', given, reason);
  if (given.type === 'APP_COOKIE' && given.cookie_name === null)
    throw refuse('APP_COOKIE needs cookie_name.');
  if (given.type !== 'APP_COOKIE' && given.cookie_name !== null)
    throw refuse('cookie_name is for APP_COOKIE only.');
  if (datagram && given.type !== 'SOURCE_IP') throw refuse(`A ${protocol} pool takes SOURCE_IP only.`);
  if (!datagram && (given.persistence_timeout !== null || given.persistence_granularity !== null)) {
    throw refuse('persistence_timeout and persistence_granularity are for UDP and SCTP pools only.');
  }
}
