import { parseCidr } from '../amphora-api/address.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import type { IngressRule } from '../model/ingress-rule.ts';
import { activeListeners, vipAddresses } from './desired.ts';
import { transport } from './security-group.ts';

/** haproxy's own between the amphorae of a pair. */
const PEER_PORT = 1025;

/**
 * What a provider's packet filter lets through to the amphorae of a load balancer: its listeners and, in a pair, what
 * the two tell each other (contract F2). The amphora's own firewall is stricter: it knows the addresses of peers.
 */
export function ingressRules(graph: LoadBalancerGraph): IngressRule[] {
  const families = [...new Set(vipAddresses(graph).map(ethertypeOf))];
  // Where the user's own groups are in front of the VIP, they alone decide who reaches the listeners.
  const guarded = graph.vipSecurityGroupIds.length > 0 ? [] : activeListeners(graph);
  const listeners = guarded.flatMap((listener): IngressRule[] => {
    const rule = { protocol: ipProtocols[transport(listener.protocol)], port: listener.protocolPort };
    if (!listener.allowedCidrs) return families.map((ethertype) => ({ ...rule, ethertype }));
    return listener.allowedCidrs.flatMap((cidr) => {
      const family = parseCidr(cidr)?.family;
      return family ? [{ ...rule, ethertype: family === 4 ? 'IPv4' : 'IPv6', cidr }] : [];
    });
  });
  if (graph.topology === 'SINGLE') return listeners;
  const peers = families.flatMap((ethertype): IngressRule[] => [
    { ethertype, protocol: 'tcp', port: PEER_PORT },
    { ethertype, protocol: '112' },
  ]);
  return [...listeners, ...peers];
}

const ipProtocols = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const;

const ethertypeOf = (address: string) => (address.includes(':') ? 'IPv6' : 'IPv4');
