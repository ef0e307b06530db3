import type { ListenerNode, LoadBalancerGraph } from '../model/graph.ts';
import { defaultPool, vipAddresses } from './desired.ts';
import { policyLines } from './haproxy-l7.ts';
import { endpoint, line, quote, section } from './haproxy-syntax.ts';
import { bindTls } from './haproxy-tls.ts';
import type { TlsFiles } from './tls-files.ts';

/** Octavia's default (contract E1): what -1 stands for, and 0, by which haproxy would mean no limit of its own. */
const DEFAULT_CONNECTION_LIMIT = 50_000;

/** Octavia's default, which stands for 0 as well (contract E2). */
const DEFAULT_TIMEOUT_CLIENT_DATA_MS = 50_000;

/** The frontend of a listener (contract E2). */
export function frontend(
  graph: LoadBalancerGraph,
  listener: ListenerNode,
  files: TlsFiles,
  logConnections: boolean,
): string {
  const tls = bindTls(graph, listener, files);
  const pool = defaultPool(graph, listener);
  return section(`frontend ${listener.id}`, [
    `mode ${listenerMode(listener)}`,
    ...vipAddresses(graph).map((address) => line(`bind ${endpoint(address, listener.protocolPort)}`, tls)),
    // Members that come and go are logged by backends.
    logConnections ? `log-format ${logFormat(graph, listener)}` : 'no log',
    `maxconn ${connectionLimit(listener)}`,
    `timeout client ${listener.timeoutClientData || DEFAULT_TIMEOUT_CLIENT_DATA_MS}`,
    listener.timeoutTcpInspect > 0 && `tcp-request inspect-delay ${listener.timeoutTcpInspect}`,
    listener.protocol === 'TERMINATED_HTTPS' && 'http-request redirect scheme https if !{ ssl_fc }',
    strictTransportSecurity(listener),
    ...(listener.protocol === 'PROMETHEUS' ? prometheus : policyLines(graph, listener)),
    pool && `default_backend ${pool.id}:${listener.id}`,
  ]);
}

/** Octavia's: project, load balancer, frontend, client, time, request, status, bytes, certificate, member, termination. */
function logFormat({ projectId, id }: LoadBalancerGraph, listener: ListenerNode): string {
  const [request, status] = listenerMode(listener) === 'http' ? ['%{+Q}r', '%ST'] : ['-', '-'];
  const certificate = '%[ssl_c_verify] %{+Q}[ssl_c_s_dn]';
  const owner = projectId.replaceAll('%', '%%');
  return quote(`${owner} ${id} %f %ci %cp %t ${request} ${status} %B %U ${certificate} %b %s %Tt %tsc`);
}

/** haproxy's own exporter answers; upstream has a process of its own between it and the client. */
const prometheus = [
  'http-request use-service prometheus-exporter if { path /metrics }',
  'http-request deny deny_status 404',
];

/** Also on what haproxy answers by itself, such as redirects, as RFC 6797 (section 7.1) wants it. */
function strictTransportSecurity(listener: ListenerNode): string | undefined {
  if (listener.protocol !== 'TERMINATED_HTTPS' || listener.hstsMaxAge === null) return undefined;
  const value = line(
    `max-age=${listener.hstsMaxAge};`,
    listener.hstsIncludeSubdomains && 'includeSubDomains;',
    listener.hstsPreload && 'preload;',
  );
  return `http-after-response set-header Strict-Transport-Security '${value}'`;
}

/** How haproxy reads what a listener's clients say. */
export function listenerMode({ protocol }: ListenerNode): 'tcp' | 'http' {
  return protocol === 'TCP' || protocol === 'HTTPS' ? 'tcp' : 'http';
}

/** Connections that a listener may have at once. */
export function connectionLimit(listener: ListenerNode): number {
  return listener.connectionLimit > 0 ? listener.connectionLimit : DEFAULT_CONNECTION_LIMIT;
}
