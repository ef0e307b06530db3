import { isIPv4 } from 'node:net';
import { z } from 'zod';
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
import { invalidInput, notImplemented } from '../fault.ts';
import { tls } from './listener.ts';

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
  tls_container_ref: attribute(text(255), null),
  ca_tls_container_ref: attribute(text(255), null),
  crl_container_ref: attribute(text(255), null),
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

interface Values {
  protocol: PoolProtocol;
  lb_algorithm: z.output<typeof Algorithm>;
  session_persistence: SessionPersistence | null;
  tls_enabled: boolean;
  tls_container_ref: string | null;
  ca_tls_container_ref: string | null;
  crl_container_ref: string | null;
}

/** A pool that the amphorae can serve. */
type Supported<T extends Values> = T & { lb_algorithm: Exclude<T['lb_algorithm'], 'SOURCE_IP_PORT'> };

/**
 * The rules between attributes of a pool, given as it would be after the request.
 * @throws Fault 400, or 501 for what the amphorae cannot do
 */
export function checkPool<T extends Values>(pool: T): asserts pool is Supported<T> {
  if (pool.lb_algorithm === 'SOURCE_IP_PORT') {
    throw notImplemented('The algorithm SOURCE_IP_PORT is not supported by this provider.');
  }
  if (pool.crl_container_ref !== null && pool.ca_tls_container_ref === null) {
    throw invalidInput('crl_container_ref', pool.crl_container_ref, 'It needs ca_tls_container_ref.');
  }
  if (pool.tls_enabled || pool.tls_container_ref !== null || pool.ca_tls_container_ref !== null) {
    throw notImplemented('TLS to members is not supported yet: no certificate store is attached.');
  }
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
