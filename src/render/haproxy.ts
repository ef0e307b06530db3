import type { AmphoraDetails } from '../amphora-api/info.ts';
import { peerName } from '../amphora-api/peer-name.ts';
import type { AmphoraNode, ListenerNode, LoadBalancerGraph } from '../model/graph.ts';
import { serves } from '../model/status.ts';
import { activeHealthMonitor, haproxyListeners, poolsOf } from './desired.ts';
import { backend, hasStickTable, peersOf } from './haproxy-backend.ts';
import { connectionLimit, frontend } from './haproxy-frontend.ts';
import { endpoint, section } from './haproxy-syntax.ts';
import { TlsFiles } from './tls-files.ts';

const MAX_CONNECTION_LIMIT = 1_000_000;
const CONNECTION_KB = 32;
const MIN_SESSION_CACHE_KB = 5_000;
const SESSIONS_PER_KB = 4;
/** Where haproxies exchange their stick tables (contract E1). */
const PEER_PORT = 1025;

/** Where amphorae take what haproxy logs (contract E1). Where nobody listens it is lost, and haproxy does not mind. */
const SYSLOG = '/run/rsyslog/octavia/log';
/** Of images that keep a CPU free for the network's interrupts (contract E1). */
const PINNING_PROFILE = 'amphora';

/** What haproxy's configuration depends on besides the load balancer. */
export interface HaproxyHost {
  /** What the amphora is, where it is a machine of its own; one with a single CPU otherwise. */
  machine?: Pick<AmphoraDetails, 'cpu_count' | 'active_tuned_profiles'>;
  /** Its memory. */
  memory?: AmphoraDetails['memory'];
  /** Whether haproxy logs each connection. */
  logConnections?: boolean;
}

/**
 * haproxy's configuration of a load balancer in one of its amphorae (contract E1 to E3); undefined when it has no listener
 * to serve. The same load balancer gives the same text.
 * @param files the TLS material of all its listeners
 */
export function renderHaproxy(
  graph: LoadBalancerGraph,
  amphora: AmphoraNode,
  files: TlsFiles = new TlsFiles(),
  { logConnections = false, ...host }: HaproxyHost = {},
): string | undefined {
  const listeners = haproxyListeners(graph);
  if (listeners.length === 0) return undefined;
  const sections = [
    globalSection(graph, listeners, host),
    defaultsSection(),
    ...peersSections(graph, amphora, listeners),
    ...listeners.map((listener) => frontend(graph, listener, files, logConnections)),
    ...listeners.flatMap((listener) =>
      poolsOf(graph, listener).map((pool) => backend(graph, pool, listener, files)),
    ),
  ];
  return `${sections.join('\n\n')}\n`;
}

function globalSection(
  graph: LoadBalancerGraph,
  listeners: ListenerNode[],
  { machine, memory }: HaproxyHost,
): string {
  const { id } = graph;
  const wanted = listeners.reduce((sum, listener) => sum + connectionLimit(listener), 0);
  const connections = Math.min(wanted, MAX_CONNECTION_LIMIT);
  const terminates = listeners.some(({ protocol }) => protocol === 'TERMINATED_HTTPS');
  const pings = poolsInUse(graph, listeners).some((pool) => activeHealthMonitor(pool)?.type === 'PING');
  return section('global', [
    'user nobody',
    'group nogroup',
    `log ${SYSLOG} local0`,
    `log ${SYSLOG} local1 notice`,
    `stats socket /var/lib/octavia/${id}.sock mode 0600 level admin`,
    `server-state-file /var/lib/octavia/${id}/servers-state`,
    `maxconn ${connections}`,
    // Where the host allows fewer files than that, serving fewer connections beats serving none.
    'no strict-limits',
    ...(machine ? pinning(machine) : []),
    terminates && memory && sessionCache(memory, connections),
    pings && 'external-check',
    pings && 'insecure-fork-wanted',
  ]);
}

/** A thread for each CPU but the first. */
function pinning({ cpu_count, active_tuned_profiles }: NonNullable<HaproxyHost['machine']>): string[] {
  if (cpu_count < 2 || !active_tuned_profiles.split(/\s+/).includes(PINNING_PROFILE)) return [];
  const threads = cpu_count - 1;
  return [`nbthread ${threads}`, `cpu-map auto:1/1-${threads} 1-${threads}`];
}

/** Two fifths of the memory that connections leave free are for TLS sessions to resume, if that is worth it (contract E1). */
function sessionCache(memory: AmphoraDetails['memory'], connections: number): string | false {
  const free = memory.free + memory.buffers + memory.cached - CONNECTION_KB * connections;
  const kilobytes = Math.floor((free * 2) / 5);
  return kilobytes > MIN_SESSION_CACHE_KB && `tune.ssl.cachesize ${kilobytes * SESSIONS_PER_KB}`;
}

function defaultsSection(): string {
  return section('defaults', [
    'log global',
    'retries 3',
    'option redispatch',
    'option splice-request',
    'option splice-response',
    'option http-keep-alive',
  ]);
}

/**
 * The haproxies that know the same stick tables. Also a single one has itself as its peer: that is how the process that a
 * reload starts learns them from the one that it replaces.
 */
function peersSections(graph: LoadBalancerGraph, amphora: AmphoraNode, listeners: ListenerNode[]): string[] {
  if (!poolsInUse(graph, listeners).some(hasStickTable)) return [];
  const others = graph.amphorae.flatMap(({ id, status, vrrpIp }) =>
    id !== amphora.id && serves(status) && vrrpIp !== null ? [peer(id, vrrpIp)] : [],
  );
  const self = peer(amphora.id, others.length > 0 ? (amphora.vrrpIp ?? '127.0.0.1') : '127.0.0.1');
  return [section(`peers ${peersOf(graph)}`, [self, ...others].sort())];
}

function peer(amphoraId: string, address: string): string {
  return `peer ${peerName(amphoraId)} ${endpoint(address, PEER_PORT)}`;
}

function poolsInUse(graph: LoadBalancerGraph, listeners: ListenerNode[]) {
  return listeners.flatMap((listener) => poolsOf(graph, listener));
}
