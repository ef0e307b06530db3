import * as z from 'zod';
import type { PoolProtocol } from '../../model/graph.ts';
import { attribute, common, integer, mandatory, onPost, onPut, project, text, Uuid } from '../attributes.ts';
import { badRequest, invalidInput } from '../fault.ts';

const Type = z.enum(['HTTP', 'HTTPS', 'TCP', 'PING', 'TLS-HELLO', 'UDP-CONNECT', 'SCTP']);
const Seconds = integer(0);
const Tries = integer(1, 10);
// A plain string for TypeScript, as in the table.
const Method: z.ZodType<string> = z.enum([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'TRACE',
  'OPTIONS',
  'CONNECT',
  'PATCH',
]);
const UrlPath = text(255).regex(/^\/(?!\/)[^\s\p{Cc}#]*$/u, 'Value should be a path that starts with /');
const ExpectedCodes = text(64).regex(
  /^\d{3}(\s*,\s*\d{3})*$|^\d{3}-\d{3}$/,
  'Value should be a code, a list of codes or a range of codes',
);
const HostName = text(253).regex(
  /^(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?$/,
  'Value should be a host name',
);
const HttpVersion = z.preprocess(
  (value) => (typeof value === 'string' ? Number(value) : value),
  z.literal([1, 1.1]),
);

const mutable = {
  ...common,
  delay: mandatory(Seconds),
  timeout: mandatory(Seconds),
  max_retries: mandatory(Tries),
  max_retries_down: attribute(Tries, 3),
  // Their defaults depend on the type: see `withTypeDefaults`.
  http_method: attribute(Method, null),
  url_path: attribute(UrlPath, null),
  expected_codes: attribute(ExpectedCodes, null),
  http_version: attribute(HttpVersion, null),
  domain_name: attribute(HostName, null),
};

/** Attributes of a health monitor inside the POST of a load balancer. */
export const NestedHealthMonitor = z.strictObject({ ...project, ...onPost(mutable), type: Type });
/** Body of `POST /healthmonitors` (contract A12). */
export const HealthMonitorPost = NestedHealthMonitor.extend({ pool_id: Uuid });
/** Body of `PUT /healthmonitors/{id}`. */
export const HealthMonitorPut = z.strictObject(onPut(mutable));

type Values = Pick<
  z.output<typeof NestedHealthMonitor>,
  'type' | 'delay' | 'http_method' | 'url_path' | 'expected_codes' | 'domain_name'
> & { http_version: number | null };

const HTTP_ONLY = ['http_method', 'url_path', 'expected_codes'] as const;

/** What health monitors can be here. */
export interface HealthMonitorLimits {
  ping: boolean;
}

/**
 * Check a health monitor, given as it would be after the request, and fill in the defaults of its type.
 * @throws Fault 400
 */
export function completeHealthMonitor<T extends Values>(
  monitor: T,
  pool: PoolProtocol,
  { ping }: HealthMonitorLimits,
): T {
  const { type } = monitor;
  if (type === 'PING' && !ping)
    throw badRequest('Health monitors of type PING are disabled by configuration.');
  const datagram = pool === 'UDP' || pool === 'SCTP';
  const allowed = datagram
    ? ['UDP-CONNECT', 'SCTP', 'TCP', 'HTTP'].includes(type)
    : type !== 'UDP-CONNECT' && type !== 'SCTP';
  if (!allowed) throw invalidInput('type', type, `A pool of protocol ${pool} cannot be monitored so.`);
  if (type === 'UDP-CONNECT' && monitor.delay < 3) {
    throw invalidInput('delay', monitor.delay, 'Value should be greater or equal to 3 for UDP-CONNECT.');
  }
  if (monitor.domain_name !== null && (monitor.http_version ?? 0) < 1.1) {
    throw badRequest('domain_name needs http_version 1.1.');
  }
  if (type !== 'HTTP' && type !== 'HTTPS') {
    const stray = HTTP_ONLY.find((name) => monitor[name] !== null);
    if (stray !== undefined)
      throw invalidInput(stray, monitor[stray], `It is not for monitors of type ${type}.`);
    return monitor;
  }
  return {
    ...monitor,
    http_method: monitor.http_method ?? 'GET',
    url_path: monitor.url_path ?? '/',
    expected_codes: monitor.expected_codes ?? '200',
  };
}
