import type { ListenerCounters } from '../../src/amphora-api/heartbeat.ts';
import type { Report } from '../heartbeat/haproxy-report.ts';
import { formatAddress, parseAddress } from '../ip-address.ts';

/** What the kernel knows of its virtual services. */
export interface IpvsState {
  /** /proc/net/ip_vs: members, their weights and connections. */
  table: string;
  /** `ipvsadm --list --numeric --stats --exact`; empty where there is no such program: nothing is counted then. */
  statistics: string;
}

/** One member of a service, which is named by protocol and port: a listener has the same port on all its VIPs. */
interface Server {
  service: string;
  endpoint: string;
  weight: number;
  connections: number;
}

/**
 * What to report of one UDP or SCTP listener (contract C7). keepalived takes a member that is down out of the kernel's
 * table; which member and pool that is, comments in keepalived's configuration say.
 */
export function lvsReport(listenerId: string, config: string, kernel: IpvsState): Report {
  const service = serviceOf(config);
  const servers = serversOf(kernel.table).filter((server) => server.service === service);
  const isMonitored = /_CHECK|HTTP_GET/.test(config);
  const members = [...config.matchAll(MEMBER)].map(([, id = '', address = '', port]) => {
    const endpoint = endpointOf(address, Number(port));
    const server = servers.find((each) => each.endpoint === endpoint);
    if (!server) return [id, 'DOWN'] as const;
    if (server.weight === 0) return [id, 'DRAIN'] as const;
    return [id, isMonitored ? 'UP' : 'no check'] as const;
  });
  const conns = servers.reduce((sum, { connections }) => sum + connections, 0);
  const pool = POOL.exec(config)?.[1];
  const status = servers.some(({ weight }) => weight > 0) ? 'UP' : 'DOWN';
  return {
    listeners: { [listenerId]: { status: 'OPEN', stats: { conns, ...counted(kernel.statistics, service) } } },
    pools: pool === undefined ? {} : { [pool]: { status, members: Object.fromEntries(members) } },
  };
}

const POOL = /# Configuration for Pool ([0-9a-f-]{36})/;
const MEMBER = /# Configuration for Member ([0-9a-f-]{36})\s+real_server (\S+) (\d+)/g;

function serviceOf(config: string): string {
  const protocol = /^\s*protocol (\w+)/m.exec(config)?.[1] ?? 'UDP';
  const port = /^virtual_server_group [^{]*\{\s*\S+ (\d+)/m.exec(config)?.[1];
  return `${protocol} ${port}`;
}

function serversOf(table: string): Server[] {
  const servers: Server[] = [];
  let service = '';
  for (const line of table.split('\n')) {
    const [, protocol, port] = /^(TCP|UDP|SCTP)\s+\S+:([0-9A-F]{4})\s/.exec(line) ?? [];
    if (protocol !== undefined) service = `${protocol} ${Number.parseInt(port ?? '', 16)}`;
    const [, address, memberPort, weight, active, inactive] =
      /^\s+->\s+(\S+):([0-9A-F]{4})\s+\S+\s+(\d+)\s+(\d+)\s+(\d+)/.exec(line) ?? [];
    if (address === undefined) continue;
    servers.push({
      service,
      endpoint: endpointOf(fromKernel(address), Number.parseInt(memberPort ?? '', 16)),
      weight: Number(weight),
      connections: Number(active) + Number(inactive),
    });
  }
  return servers;
}

/** IPv6 is written in brackets, IPv4 as eight hexadecimal digits. */
function fromKernel(address: string): string {
  if (address.startsWith('[')) return address.slice(1, -1);
  return formatAddress({ family: 4, value: BigInt(`0x${address}`) });
}

function endpointOf(address: string, port: number): string {
  return `${formatAddress(parseAddress(address))} ${port}`;
}

/** Sums over the VIPs: connections, packets in and out, bytes in and out are the columns. */
function counted(statistics: string, service: string): Omit<ListenerCounters, 'conns'> {
  const sum = { tx: 0, rx: 0, totconns: 0, ereq: 0 };
  for (const [, protocol, port, conns, rx, tx] of statistics.matchAll(
    /^(\w+)\s+\S+:(\d+)\s+(\d+)\s+\d+\s+\d+\s+(\d+)\s+(\d+)\s*$/gm,
  )) {
    if (`${protocol} ${port}` !== service) continue;
    sum.totconns += Number(conns);
    sum.rx += Number(rx);
    sum.tx += Number(tx);
  }
  return sum;
}
