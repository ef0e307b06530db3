import { type FirewallInterface, renderRuleset } from '../agent/nftables/ruleset.ts';
import { rebuild } from '../agent/nftables/transaction.ts';
import type { ListenerRule } from '../src/amphora-api/security-group.ts';
import { CLIENT_NETWORK, MEMBER, VIP, VIP_INTERFACE } from './firewall-network.ts';

/** Rules as nft reads them from a file. */
export type NftFile = string;

const INTERFACES: FirewallInterface[] = [
  VIP_INTERFACE,
  { name: 'eth2', roles: ['member'], filtered: true, addresses: [], vips: [] },
];

export const none: NftFile = 'table inet amphora {}\ndelete table inet amphora\n';

/** Networks that the client is not in, all of them below its address or above it, none next to another. */
export function networks(count: number, where: 'below' | 'above'): string[] {
  const octet = where === 'below' ? 9 : 11;
  return Array.from({ length: count }, (_, index) => `${octet}.${index >> 7}.${(index & 127) << 1}.0/24`);
}

/**
 * Listeners on 80, 81 and, if they are more, ports from 1000, each for as many networks. The client's comes first or last,
 * in the order of the list and in that of addresses.
 */
export function listenerRules(listeners: number, cidrs: number, position: 'first' | 'last'): ListenerRule[] {
  const own = CLIENT_NETWORK;
  const allowed_cidrs =
    position === 'first' ? [own, ...networks(cidrs - 1, 'above')] : [...networks(cidrs - 1, 'below'), own];
  const ports = [...Array.from({ length: Math.max(listeners - 2, 0) }, (_, index) => 1_000 + index), 80, 81];
  return ports
    .slice(-Math.max(listeners, 2))
    .map((port) => ({ protocol: 'TCP' as const, port, allowed_cidrs }));
}

/** This project's rules. */
export function ours(rules: ListenerRule[]): NftFile {
  const members = [{ address: MEMBER, port: 8080, protocol: 'TCP' as const }];
  const group = { revision: 1, vips: [VIP], vrrp_peers: [], members, rules };
  return rebuild(renderRuleset(group, INTERFACES));
}

/** Octavia's rules for the same (contract D5): tracked connections, one rule for each network of each listener, in order. */
export function upstream(rules: ListenerRule[]): NftFile {
  const accepted = rules.flatMap(({ port, allowed_cidrs }) =>
    (allowed_cidrs ?? []).map((cidr) => `    ip saddr ${cidr} tcp dport ${port} accept`),
  );
  const lines = [
    'table inet amphora {}',
    'delete table inet amphora',
    'table inet amphora {',
    '  chain vip {',
    ...accepted,
    '  }',
    '  chain input {',
    '    type filter hook input priority filter; policy drop;',
    '    ct state vmap { established : accept, related : accept, invalid : drop }',
    '    iif lo accept',
    '    ip saddr 127.0.0.0/8 drop',
    '    ip6 saddr ::1 drop',
    '    icmp type destination-unreachable accept',
    '    icmpv6 type { nd-neighbor-solicit, nd-router-advert, nd-neighbor-advert, packet-too-big, destination-unreachable } accept',
    '    udp sport 67 udp dport 68 accept',
    '    udp sport 547 udp dport 546 accept',
    '    iifname eth1 goto vip',
    '  }',
    '}',
  ];
  return `${lines.join('\n')}\n`;
}
