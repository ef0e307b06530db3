import type {
  HealthMonitorNode,
  ListenerNode,
  LoadBalancerGraph,
  MemberNode,
  PoolNode,
} from '../model/graph.ts';
import { activeHealthMonitor, desired } from './desired.ts';
import { listenerMode } from './haproxy-frontend.ts';
import { headerLines } from './haproxy-headers.ts';
import { endpoint, host, line, quote, quoteFormat, sample, section } from './haproxy-syntax.ts';
import { serverTls } from './haproxy-tls.ts';
import type { TlsFiles } from './tls-files.ts';

/** Octavia's defaults, which stand for 0 as well (contract E2). */
const DEFAULT_TIMEOUT_MEMBER_CONNECT_MS = 5_000;
const DEFAULT_TIMEOUT_MEMBER_DATA_MS = 50_000;

/** Octavia's size of a stick table (contract I). */
const STICK_TABLE_SIZE = '10k';

/** Answers haproxy's external checks (contract E3); the agent puts it there. */
const PING_CHECK = '/var/lib/octavia/ping-wrapper.sh';

/** The backend of a pool for one of the listeners that use it (contract E3). */
export function backend(
  graph: LoadBalancerGraph,
  pool: PoolNode,
  listener: ListenerNode,
  files: TlsFiles,
): string {
  const monitor = activeHealthMonitor(pool);
  const mode = poolMode(pool, listener);
  const tls = serverTls(graph, pool, files);
  return section(`backend ${pool.id}:${listener.id}`, [
    `mode ${mode}`,
    mode === 'http' && 'http-reuse safe',
    pool.lbAlgorithm === 'SOURCE_IP_PORT' && 'tcp-request content set-var(txn.source_port) src_port',
    `balance ${algorithms[pool.lbAlgorithm]}`,
    ...persistence(graph, pool, mode),
    ...(monitor ? healthCheck(monitor, desired(pool.members)) : []),
    ...(mode === 'http' ? headerLines(listener) : []),
    'option allbackups',
    listener.connectionLimit > 0 && `fullconn ${listener.connectionLimit}`,
    `timeout connect ${listener.timeoutMemberConnect || DEFAULT_TIMEOUT_MEMBER_CONNECT_MS}`,
    `timeout server ${listener.timeoutMemberData || DEFAULT_TIMEOUT_MEMBER_DATA_MS}`,
    ...desired(pool.members).map((member) => server({ pool, member, monitor, listener, mode, tls })),
  ]);
}

const algorithms: Record<PoolNode['lbAlgorithm'], string> = {
  ROUND_ROBIN: 'roundrobin',
  LEAST_CONNECTIONS: 'leastconn',
  SOURCE_IP: 'source',
  SOURCE_IP_PORT: 'hash src,concat(:,txn.source_port)',
};

type Mode = 'tcp' | 'http';

function poolMode(pool: PoolNode, listener: ListenerNode): Mode {
  if (pool.protocol === 'PROXY' || pool.protocol === 'PROXYV2') return listenerMode(listener);
  return pool.protocol === 'HTTP' ? 'http' : 'tcp';
}

/** Whether haproxy remembers which client went to which member. Cookies are there only where haproxy reads HTTP. */
export function hasStickTable(pool: PoolNode): boolean {
  return pool.sessionPersistence?.type === 'SOURCE_IP' || pool.sessionPersistence?.type === 'APP_COOKIE';
}

/** Section of the haproxies that share stick tables (contract E1). */
export function peersOf({ id }: LoadBalancerGraph): string {
  return `${id.replaceAll('-', '')}_peers`;
}

function persistence(graph: LoadBalancerGraph, { sessionPersistence }: PoolNode, mode: Mode): string[] {
  const table = (type: string) => `stick-table type ${type} size ${STICK_TABLE_SIZE} peers ${peersOf(graph)}`;
  if (sessionPersistence?.type === 'SOURCE_IP') return [table('ipv6'), 'stick on src'];
  if (mode === 'tcp') return [];
  switch (sessionPersistence?.type) {
    case 'APP_COOKIE': {
      const name = sessionPersistence.cookie_name ?? '';
      return [
        table('string len 64'),
        `stick store-response ${sample('res.cook', name)}`,
        `stick match ${sample('req.cook', name)}`,
      ];
    }
    case 'HTTP_COOKIE':
      return ['cookie SRV insert indirect nocache'];
    default:
      return [];
  }
}

function healthCheck(monitor: HealthMonitorNode, members: MemberNode[]): string[] {
  const lines = ['load-server-state-from-file global', `timeout check ${seconds(monitor.timeout)}`];
  switch (monitor.type) {
    case 'HTTP':
    case 'HTTPS':
      return [...lines, ...httpCheck(monitor)];
    case 'PING':
      return [
        ...lines,
        'option external-check',
        `external-check path ${['/usr/bin', '/bin', ...pingedElsewhere(members)].join(':')}`,
        `external-check command ${PING_CHECK}`,
      ];
    default:
      return lines;
  }
}

/**
 * Which address to ping instead of a member's own. haproxy does not tell external checks about `addr`; the search path is
 * all that reaches them.
 */
function pingedElsewhere(members: MemberNode[]): string[] {
  return members.flatMap(({ id, monitorAddress }) =>
    monitorAddress === null ? [] : [`/${id}=${monitorAddress}/`],
  );
}

/** As near as haproxy can come: it takes neither none nor more than 2^31 milliseconds. */
function seconds(wanted: number): string {
  return `${Math.min(Math.max(wanted, 1), 2_000_000)}s`;
}

function httpCheck({
  httpMethod,
  urlPath,
  httpVersion,
  domainName,
  expectedCodes,
}: HealthMonitorNode): string[] {
  const version = httpVersion === null ? '' : `HTTP/${httpVersion.toFixed(1)}`;
  // Members may refuse HTTP/1.1 without a Host, so those without a domain are called by their address.
  const name = domainName === null ? '%[dst]' : quoteFormat(domainName);
  return [
    line(`option httpchk ${httpMethod ?? 'GET'} ${quote(urlPath ?? '/')}`, version),
    ...(httpVersion !== null && httpVersion >= 1.1 ? [`http-check send hdr Host ${name}`] : []),
    `http-check expect rstatus ${quote(expandCodes(expectedCodes ?? '200').join('|'))}`,
  ];
}

/** `200`, `200,202` or `200-202` as a list of codes (contract A12). */
export function expandCodes(expected: string): string[] {
  const range = /^(\d{3})-(\d{3})$/.exec(expected.trim());
  if (!range) return expected.split(',').map((code) => code.trim());
  const [first, last] = [Number(range[1]), Number(range[2])].sort() as [number, number];
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
}

interface ServerParts {
  pool: PoolNode;
  member: MemberNode;
  monitor: HealthMonitorNode | undefined;
  listener: ListenerNode;
  mode: Mode;
  tls: string | undefined;
}

/** The parts of a server line come in the order of contract E3. */
function server({ pool, member, monitor, listener, mode, tls }: ServerParts): string {
  return line(
    `server ${member.id} ${endpoint(member.address, member.protocolPort)} weight ${member.weight}`,
    monitor && check(pool, member, monitor),
    mode === 'http' && pool.sessionPersistence?.type === 'HTTP_COOKIE' && `cookie ${member.id}`,
    pool.protocol === 'PROXY' && 'send-proxy',
    pool.protocol === 'PROXYV2' &&
      (listener.protocol === 'TERMINATED_HTTPS' ? 'send-proxy-v2-ssl-cn' : 'send-proxy-v2'),
    member.backup && 'backup',
    !member.adminStateUp && 'disabled',
    tls,
  );
}

function check(pool: PoolNode, member: MemberNode, monitor: HealthMonitorNode): string {
  const overTls = monitor.type === 'HTTPS' || monitor.type === 'TLS-HELLO';
  return line(
    'check',
    overTls && 'check-ssl',
    // How a member is verified is said once in its line: with what its pool says of TLS, if it says something.
    overTls && !pool.tlsEnabled && 'verify none',
    overTls && pool.alpnProtocols !== null && `check-alpn ${pool.alpnProtocols.join(',')}`,
    `inter ${seconds(monitor.delay)} fall ${monitor.maxRetriesDown} rise ${monitor.maxRetries}`,
    member.monitorAddress !== null && `addr ${host(member.monitorAddress)}`,
    member.monitorPort !== null && `port ${member.monitorPort}`,
  );
}
