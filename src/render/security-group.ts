import type { ListenerRule, MemberEndpoint, SecurityGroup } from '../amphora-api/security-group.ts';
import type { AmphoraNode, ListenerNode, LoadBalancerGraph, PoolNode } from '../model/graph.ts';
import { activeHealthMonitor, activeListeners, desired, poolsOf, vipAddresses } from './desired.ts';

/** What the firewall of one amphora admits: exactly what the load balancer's listeners, peers and members need. */
export function renderSecurityGroup(graph: LoadBalancerGraph, amphora: AmphoraNode): SecurityGroup {
  const listeners = activeListeners(graph);
  return {
    revision: graph.revision,
    vips: vipAddresses(graph),
    rules: listeners.map(listenerRule),
    vrrp_peers: graph.amphorae.flatMap((peer) =>
      peer.id !== amphora.id && peer.status === 'ALLOCATED' && peer.vrrpIp ? [peer.vrrpIp] : [],
    ),
    members: unique(listeners.flatMap((listener) => poolsOf(graph, listener).flatMap(endpoints))),
  };
}

function listenerRule(listener: ListenerNode): ListenerRule {
  return {
    allowed_cidrs: listener.allowedCidrs,
    protocol: transport(listener.protocol),
    port: listener.protocolPort,
  };
}

function transport(protocol: ListenerNode['protocol'] | PoolNode['protocol']): ListenerRule['protocol'] {
  return protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP';
}

/** Where answers may come from: each member, and the place that its health is asked at. */
function endpoints(pool: PoolNode): MemberEndpoint[] {
  const protocol = transport(pool.protocol);
  const monitored = activeHealthMonitor(pool) !== undefined;
  return desired(pool.members).flatMap((member) => [
    { address: member.address, port: member.protocolPort, protocol },
    ...(monitored && (member.monitorAddress !== null || member.monitorPort !== null)
      ? [
          {
            address: member.monitorAddress ?? member.address,
            port: member.monitorPort ?? member.protocolPort,
            protocol,
          },
        ]
      : []),
  ]);
}

function unique(endpoints: MemberEndpoint[]): MemberEndpoint[] {
  const seen = new Map(endpoints.map((endpoint) => [JSON.stringify(endpoint), endpoint]));
  return [...seen.values()];
}
