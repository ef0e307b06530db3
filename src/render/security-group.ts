import type { ListenerRule, MemberEndpoint, SecurityGroup } from '../amphora-api/security-group.ts';
import type {
  AmphoraNode,
  HealthMonitorNode,
  ListenerNode,
  LoadBalancerGraph,
  PoolNode,
} from '../model/graph.ts';
import { serves } from '../model/status.ts';
import { activeHealthMonitor, activeListeners, desired, poolsOf, vipAddresses } from './desired.ts';

/** What the firewall of one amphora admits: exactly what the load balancer's listeners, peers and members need. */
export function renderSecurityGroup(graph: LoadBalancerGraph, amphora: AmphoraNode): SecurityGroup {
  const listeners = activeListeners(graph);
  const pools = new Set(listeners.flatMap((listener) => poolsOf(graph, listener)));
  const probes = [...pools].flatMap(probesOf);
  return {
    revision: graph.revision,
    vips: vipAddresses(graph),
    rules: listeners.map(listenerRule),
    vrrp_peers: graph.amphorae.flatMap((peer) =>
      peer.id !== amphora.id && serves(peer.status) && peer.vrrpIp ? [peer.vrrpIp] : [],
    ),
    members: unique([
      ...[...pools].flatMap(endpoints),
      ...probes.flatMap(({ address, port, protocol }) =>
        protocol === 'ICMP' ? [] : [{ address, port, protocol }],
      ),
    ]),
    pinged: [...new Set(probes.flatMap(({ address, protocol }) => (protocol === 'ICMP' ? [address] : [])))],
  };
}

function listenerRule(listener: ListenerNode): ListenerRule {
  return {
    allowed_cidrs: listener.allowedCidrs,
    protocol: transport(listener.protocol),
    port: listener.protocolPort,
  };
}

/** What a listener or member is spoken to by. */
export function transport(
  protocol: ListenerNode['protocol'] | PoolNode['protocol'],
): ListenerRule['protocol'] {
  return protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP';
}

function endpoints(pool: PoolNode): MemberEndpoint[] {
  const protocol = transport(pool.protocol);
  return desired(pool.members).map(({ address, protocolPort }) => ({
    address,
    port: protocolPort,
    protocol,
  }));
}

interface Probe extends Omit<MemberEndpoint, 'protocol'> {
  protocol: MemberEndpoint['protocol'] | 'ICMP';
}

/** Where the health of members is asked. */
function probesOf(pool: PoolNode): Probe[] {
  const monitor = activeHealthMonitor(pool);
  if (!monitor) return [];
  return desired(pool.members).map((member) => ({
    address: member.monitorAddress ?? member.address,
    port: member.monitorPort ?? member.protocolPort,
    protocol: PROBES[monitor.type],
  }));
}

const PROBES: Record<HealthMonitorNode['type'], Probe['protocol']> = {
  HTTP: 'TCP',
  HTTPS: 'TCP',
  TCP: 'TCP',
  'TLS-HELLO': 'TCP',
  PING: 'ICMP',
  'UDP-CONNECT': 'UDP',
  SCTP: 'SCTP',
};

function unique(endpoints: MemberEndpoint[]): MemberEndpoint[] {
  const seen = new Map(endpoints.map((endpoint) => [JSON.stringify(endpoint), endpoint]));
  return [...seen.values()];
}
