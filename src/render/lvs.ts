import type {
  HealthMonitorNode,
  ListenerNode,
  LoadBalancerGraph,
  MemberNode,
  PoolNode,
} from '../model/graph.ts';
import { activeHealthMonitor, activeListeners, defaultPool, desired, vipAddresses } from './desired.ts';
import { expandCodes } from './haproxy-backend.ts';

/** Seconds that a client stays with its member when the pool asks for persistence and names no time (contract E4). */
const PERSISTENCE_SECONDS = 360;

/** Where the agent keeps its check scripts. */
const SCTP_CHECK = '/var/lib/octavia/lvs/check/sctp_check.sh';

type Family = 4 | 6;

/** Listeners that LVS serves: UDP and SCTP, in service or not. */
export function lvsListeners({ listeners }: LoadBalancerGraph): ListenerNode[] {
  return listeners.filter(({ protocol }) => protocol === 'UDP' || protocol === 'SCTP');
}

/**
 * keepalived's configuration of one UDP or SCTP listener (contract E4): a virtual server for each address family that has a
 * VIP and members. Undefined when there is nothing to serve.
 */
export function renderLvs(graph: LoadBalancerGraph, listener: ListenerNode): string | undefined {
  const pool = defaultPool(graph, listener);
  if (!pool || !activeListeners(graph).includes(listener)) return undefined;
  const servers = ([4, 6] as const).flatMap((family) => virtualServer(graph, listener, pool, family));
  if (servers.length === 0) return undefined;
  return `${[
    // By such comments an agent, Octavia's also, finds what to call what the kernel counts.
    `# Configuration for Pool ${pool.id}`,
    // It finds its interfaces there also when it was not started there.
    'net_namespace amphora-haproxy',
    ...block('global_defs', [`router_id ${listener.id}`, 'script_user root', 'enable_script_security']),
    ...servers,
  ].join('\n')}\n`;
}

function virtualServer(
  graph: LoadBalancerGraph,
  listener: ListenerNode,
  pool: PoolNode,
  family: Family,
): string[] {
  const vips = vipAddresses(graph).filter((address) => familyOf(address) === family);
  const members = desired(pool.members).filter(
    ({ address, adminStateUp }) => adminStateUp && familyOf(address) === family,
  );
  if (vips.length === 0 || members.length === 0) return [];
  const group = `ipv${family}-group`;
  const monitor = activeHealthMonitor(pool);
  return [
    ...block(
      `virtual_server_group ${group}`,
      vips.map((address) => `${address} ${listener.protocolPort}`),
    ),
    ...block(`virtual_server group ${group}`, [
      ...algorithms[pool.lbAlgorithm],
      'lb_kind NAT',
      `protocol ${listener.protocol}`,
      ...persistence(pool, family),
      ...(monitor ? intervals(monitor) : []),
      ...members.flatMap((member) => realServer(listener, member, monitor)),
    ]),
  ];
}

const algorithms: Record<PoolNode['lbAlgorithm'], string[]> = {
  ROUND_ROBIN: ['lb_algo wrr'],
  LEAST_CONNECTIONS: ['lb_algo lc'],
  SOURCE_IP: ['lb_algo sh'],
  SOURCE_IP_PORT: ['lb_algo sh', 'sh-port'],
};

function persistence({ sessionPersistence }: PoolNode, family: Family): string[] {
  if (sessionPersistence?.type !== 'SOURCE_IP') return [];
  const { persistence_timeout: timeout, persistence_granularity: granularity } = sessionPersistence;
  // One attribute for both families: a dotted mask is meant for IPv4, a prefix length for IPv6.
  const given =
    granularity !== null && granularity.includes('.') === (family === 4) ? granularity : undefined;
  return [
    `persistence_timeout ${timeout || PERSISTENCE_SECONDS}`,
    `persistence_granularity ${given ?? { 4: '255.255.255.255', 6: '128' }[family]}`,
  ];
}

function intervals({ delay, maxRetriesDown }: HealthMonitorNode): string[] {
  return [`delay_loop ${delay}`, `delay_before_retry ${delay}`, `retry ${maxRetriesDown}`];
}

function realServer(
  { connectionLimit }: ListenerNode,
  member: MemberNode,
  monitor: HealthMonitorNode | undefined,
): string[] {
  return [
    `# Configuration for Member ${member.id}`,
    ...block(`real_server ${member.address} ${member.protocolPort}`, [
      `weight ${member.weight}`,
      ...(connectionLimit > 0 ? [`uthreshold ${connectionLimit}`] : []),
      ...(monitor ? check(monitor, member) : []),
    ]),
  ];
}

/** Checks of keepalived's own wherever it has one; a process for each question is for SCTP only. */
function check(monitor: HealthMonitorNode, member: MemberNode): string[] {
  const address = member.monitorAddress ?? member.address;
  const port = member.monitorPort ?? member.protocolPort;
  const endpoint = [`connect_ip ${address}`, `connect_port ${port}`, `connect_timeout ${monitor.timeout}`];
  switch (monitor.type) {
    case 'UDP-CONNECT':
      return block('UDP_CHECK', endpoint);
    case 'TCP':
      return block('TCP_CHECK', endpoint);
    case 'HTTP':
      return block('HTTP_GET', [
        ...block('url', [
          `path ${encode(monitor.urlPath ?? '/')}`,
          `status_code ${expandCodes(monitor.expectedCodes ?? '200').join(' ')}`,
          ...(monitor.domainName === null ? [] : [`virtualhost ${encode(monitor.domainName)}`]),
        ]),
        ...endpoint,
      ]);
    case 'SCTP':
      return block('MISC_CHECK', [
        `misc_path "${SCTP_CHECK} ${address} ${port} ${monitor.timeout}"`,
        // The script has its own time limit, and shall be the one to end.
        `misc_timeout ${monitor.timeout + 1}`,
      ]);
    default:
      return [];
  }
}

/** Whatever could be syntax of keepalived, percent-encoded: to the member it says the same. */
function encode(text: string): string {
  const bytes = (char: string) =>
    [...Buffer.from(char)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`);
  return text.replaceAll(/[^\w/.~?&=%:,;+*-]/gu, (char) => bytes(char).join(''));
}

function block(head: string, lines: string[]): string[] {
  return [`${head} {`, ...lines.map((line) => `    ${line}`), '}'];
}

function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4;
}
