import type {
  HealthMonitorNode,
  ListenerNode,
  LoadBalancerGraph,
  MemberNode,
  PoolNode,
} from '../model/graph.ts';
import { activeHealthMonitor, activeListeners, defaultPool, desired, vipAddresses } from './desired.ts';

/** `connection_limit` -1: as many as Octavia allows by default (contract E1). */
const DEFAULT_CONNECTION_LIMIT = 50_000;
const MAX_CONNECTION_LIMIT = 1_000_000;

/**
 * haproxy's configuration of a load balancer (contract E1 to E3); undefined when it has no listener to serve. The same
 * graph gives the same text.
 */
export function renderHaproxy(graph: LoadBalancerGraph): string | undefined {
  const listeners = activeListeners(graph);
  if (listeners.length === 0) return undefined;
  const sections = [
    globalSection(graph, listeners),
    defaultsSection(),
    ...listeners.map((listener) => frontend(graph, listener)),
    ...listeners.flatMap((listener) => {
      const pool = defaultPool(graph, listener);
      return pool ? [backend(pool, listener)] : [];
    }),
  ];
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function globalSection({ id }: LoadBalancerGraph, listeners: ListenerNode[]): string[] {
  const connections = listeners.reduce((sum, listener) => sum + connectionLimit(listener), 0);
  return [
    'global',
    '    user nobody',
    `    stats socket /var/lib/octavia/${id}.sock mode 0600 level admin`,
    `    server-state-file /var/lib/octavia/${id}/servers-state`,
    `    maxconn ${Math.min(connections, MAX_CONNECTION_LIMIT)}`,
    // Where the host allows fewer files than that, serving fewer connections beats serving none.
    '    no strict-limits',
  ];
}

function defaultsSection(): string[] {
  return [
    'defaults',
    '    no log',
    '    retries 3',
    '    option redispatch',
    '    option splice-request',
    '    option splice-response',
    '    option http-keep-alive',
  ];
}

function frontend(graph: LoadBalancerGraph, listener: ListenerNode): string[] {
  const pool = defaultPool(graph, listener);
  return indent(`frontend ${listener.id}`, [
    `mode ${listenerMode(listener)}`,
    ...vipAddresses(graph).map((address) => `bind ${bindAddress(address, listener.protocolPort)}`),
    `maxconn ${connectionLimit(listener)}`,
    `timeout client ${listener.timeoutClientData}`,
    listener.timeoutTcpInspect > 0 && `tcp-request inspect-delay ${listener.timeoutTcpInspect}`,
    pool && `default_backend ${pool.id}:${listener.id}`,
  ]);
}

function backend(pool: PoolNode, listener: ListenerNode): string[] {
  const monitor = activeHealthMonitor(pool);
  const mode = poolMode(pool, listener);
  return indent(`backend ${pool.id}:${listener.id}`, [
    `mode ${mode}`,
    mode === 'http' && 'http-reuse safe',
    pool.lbAlgorithm === 'SOURCE_IP_PORT' && 'tcp-request content set-var(txn.source_port) src_port',
    `balance ${algorithms[pool.lbAlgorithm]}`,
    ...persistence(pool),
    ...(monitor ? healthCheck(monitor) : []),
    ...(mode === 'http' ? headers(listener) : []),
    'option allbackups',
    listener.connectionLimit > 0 && `fullconn ${listener.connectionLimit}`,
    `timeout connect ${listener.timeoutMemberConnect}`,
    `timeout server ${listener.timeoutMemberData}`,
    ...desired(pool.members).map((member) => server(pool, member, monitor)),
  ]);
}

const algorithms: Record<PoolNode['lbAlgorithm'], string> = {
  ROUND_ROBIN: 'roundrobin',
  LEAST_CONNECTIONS: 'leastconn',
  SOURCE_IP: 'source',
  SOURCE_IP_PORT: 'hash src,concat(:,txn.source_port)',
};

function persistence({ sessionPersistence }: PoolNode): string[] {
  switch (sessionPersistence?.type) {
    case 'SOURCE_IP':
      return ['stick-table type ipv6 size 10k', 'stick on src'];
    case 'APP_COOKIE': {
      const name = sessionPersistence.cookie_name;
      return [
        'stick-table type string len 64 size 10k',
        `stick store-response res.cook(${name})`,
        `stick match req.cook(${name})`,
      ];
    }
    case 'HTTP_COOKIE':
      return ['cookie SRV insert indirect nocache'];
    default:
      return [];
  }
}

function healthCheck(monitor: HealthMonitorNode): string[] {
  const lines = ['load-server-state-from-file global', `timeout check ${monitor.timeout}s`];
  if (monitor.type !== 'HTTP' && monitor.type !== 'HTTPS') return lines;
  const version = monitor.httpVersion === null ? '' : ` HTTP/${monitor.httpVersion.toFixed(1)}`;
  lines.push(`option httpchk ${monitor.httpMethod ?? 'GET'} ${quote(monitor.urlPath ?? '/')}${version}`);
  if (monitor.domainName !== null) lines.push(`http-check send hdr Host ${quote(monitor.domainName)}`);
  lines.push(`http-check expect rstatus ${expandCodes(monitor.expectedCodes ?? '200').join('|')}`);
  return lines;
}

/** `200`, `200,202` or `200-202` as a list of codes (contract A12). */
export function expandCodes(expected: string): string[] {
  const range = /^(\d{3})-(\d{3})$/.exec(expected.trim());
  if (!range) return expected.split(',').map((code) => code.trim());
  const [first, last] = [Number(range[1]), Number(range[2])];
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, index) => String(first + index));
}

function headers(listener: ListenerNode): string[] {
  const scheme = listener.protocol === 'TERMINATED_HTTPS' ? 'https' : 'http';
  const lines: Record<string, string> = {
    'X-Forwarded-For': 'option forwardfor',
    'X-Forwarded-Port': 'http-request set-header X-Forwarded-Port %[dst_port]',
    'X-Forwarded-Proto': `http-request set-header X-Forwarded-Proto ${scheme}`,
    'X-Forwarded-IP': 'http-request set-header X-Forwarded-IP %[src]',
    'X-Client-IP': 'http-request set-header X-Client-IP %[src]',
    'X-Real-IP': 'http-request set-header X-Real-IP %[src]',
  };
  return Object.entries(listener.insertHeaders).flatMap(([name, value]) => {
    const line = lines[name];
    return line && value.toLowerCase() === 'true' ? [line] : [];
  });
}

/** The parts of a server line come in the order of contract E3. */
function server(pool: PoolNode, member: MemberNode, monitor: HealthMonitorNode | undefined): string {
  return [
    `server ${member.id} ${bindAddress(member.address, member.protocolPort)} weight ${member.weight}`,
    monitor && check(member, monitor),
    pool.sessionPersistence?.type === 'HTTP_COOKIE' && `cookie ${member.id}`,
    pool.protocol === 'PROXY' && 'send-proxy',
    pool.protocol === 'PROXYV2' && 'send-proxy-v2',
    member.backup && 'backup',
    !member.adminStateUp && 'disabled',
  ]
    .filter(Boolean)
    .join(' ');
}

function check(member: MemberNode, monitor: HealthMonitorNode): string {
  const overTls = monitor.type === 'HTTPS' || monitor.type === 'TLS-HELLO';
  return [
    'check',
    overTls && 'check-ssl verify none',
    `inter ${monitor.delay}s fall ${monitor.maxRetriesDown} rise ${monitor.maxRetries}`,
    member.monitorAddress !== null && `addr ${member.monitorAddress}`,
    member.monitorPort !== null && `port ${member.monitorPort}`,
  ]
    .filter(Boolean)
    .join(' ');
}

function listenerMode({ protocol }: ListenerNode): 'tcp' | 'http' {
  return protocol === 'TCP' || protocol === 'HTTPS' ? 'tcp' : 'http';
}

function poolMode(pool: PoolNode, listener: ListenerNode): 'tcp' | 'http' {
  if (pool.protocol === 'PROXY' || pool.protocol === 'PROXYV2') return listenerMode(listener);
  return pool.protocol === 'HTTP' ? 'http' : 'tcp';
}

function connectionLimit(listener: ListenerNode): number {
  return listener.connectionLimit < 0 ? DEFAULT_CONNECTION_LIMIT : listener.connectionLimit;
}

/** haproxy takes an IPv6 address before a port without brackets only by luck. */
function bindAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Single quotes are haproxy's strong quoting: nothing inside has a meaning. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}

function indent(head: string, lines: (string | false | undefined)[]): string[] {
  return [head, ...lines.filter((line) => typeof line === 'string').map((line) => `    ${line}`)];
}
