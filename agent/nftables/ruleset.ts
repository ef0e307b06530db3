import type { SecurityGroup } from '../../src/amphora-api/security-group.ts';
import { type Family, formatAddress, parseAddress } from '../ip-address.ts';
import { type CidrSet, isWholeFamily, uniteCidrs } from './cidr-set.ts';
import * as nft from './statements.ts';

/** What an interface is there for. The VIP's also reaches members, so it usually has both roles. */
export type InterfaceRole = 'vip' | 'member';

export interface FirewallInterface {
  name: string;
  roles: readonly InterfaceRole[];
}

/** Nothing is admitted: what an amphora starts with. */
export const CLOSED: SecurityGroup = { revision: 0, vips: [], rules: [], vrrp_peers: [], members: [] };

const VRRP_PROTOCOL = 112;
/** Port on which haproxy peers exchange stick tables (contract E1). */
const PEER_PORT = 1025;
const FAMILIES = [4, 6] as const;

/**
 * The whole firewall of an amphora as one libnftables JSON document, which `nft -j -f -` loads in a single
 * transaction: at no instant does a packet meet a missing or a half-built table.
 *
 * Stateless: nothing is tracked and no rule asks for a connection's state. What the amphora itself begins
 * (members, peers) is admitted back by its source and by not opening a TCP connection.
 */
export function renderRuleset(group: SecurityGroup, interfaces: readonly FirewallInterface[]): nft.Document {
  return {
    nftables: [
      // `delete` fails on a missing table, so the table is added first; the transaction shows only the end.
      nft.addTable(),
      nft.deleteTable(),
      nft.addTable(),
      ...tracking(),
      ...vip(group),
      ...vrrp(group),
      ...member(group),
      ...input(interfaces),
    ],
  };
}

/** Priority raw runs before connection tracking, which then lets every packet be. */
function tracking(): nft.Command[] {
  return (['prerouting', 'output'] as const).flatMap((hook) => [
    nft.addBaseChain(hook, hook, -300, 'accept'),
    nft.addRule(hook, nft.notrack),
  ]);
}

function input(interfaces: readonly FirewallInterface[]): nft.Command[] {
  const arrivingFor = (role: InterfaceRole, chain: string): nft.Command[] => {
    const names = interfaces.filter(({ roles }) => roles.includes(role)).map(({ name }) => name);
    return names.length > 0
      ? [nft.addRule('input', nft.among(nft.meta('iifname'), names), nft.jump(chain))]
      : [];
  };
  return [
    nft.addBaseChain('input', 'input', 0, 'drop'),
    nft.addRule('input', nft.equals(nft.meta('iifname'), 'lo'), nft.accept),
    nft.addRule('input', nft.equals(nft.field('ip', 'saddr'), nft.prefix('127.0.0.0', 8)), nft.drop),
    nft.addRule('input', nft.equals(nft.field('ip6', 'saddr'), '::1'), nft.drop),
    nft.addRule('input', nft.equals(nft.field('icmp', 'type'), 'destination-unreachable'), nft.accept),
    nft.addRule('input', nft.among(nft.field('icmpv6', 'type'), ICMPV6_TYPES), nft.accept),
    ...arrivingFor('vip', 'vip'),
    ...arrivingFor('vip', 'vrrp'),
    ...arrivingFor('member', 'member'),
  ];
}

const ICMPV6_TYPES = [
  'destination-unreachable',
  'packet-too-big',
  'nd-neighbor-solicit',
  'nd-neighbor-advert',
  // A switch that snoops multicast forgets who listens to neighbour solicitations unless its queries are answered.
  'mld-listener-query',
];

/** To a VIP, on a listener's protocol and port, from that listener's sources. */
function vip(group: SecurityGroup): nft.Command[] {
  const listeners = openings(group.rules);
  return [
    ...FAMILIES.map((family) =>
      nft.addSet(`vips-${family}`, nft.addressType(family), ofFamily(group.vips, family)),
    ),
    ...listeners.flatMap(listenerChain),
    nft.addVerdictMap(
      'listeners',
      ['inet_proto', 'inet_service'],
      listeners.map(({ chain, protocol, port }) => [nft.concat(protocol, port), nft.goto(chain)]),
    ),
    nft.addChain('vip'),
    ...FAMILIES.map((family) =>
      nft.addRule(
        'vip',
        nft.equals(nft.field(nft.header(family), 'daddr'), `@vips-${family}`),
        nft.verdictMap(nft.concat(nft.meta('l4proto'), nft.field('th', 'dport')), '@listeners'),
      ),
    ),
  ];
}

interface Opening {
  chain: string;
  protocol: string;
  port: number;
  /** Absent: everyone. */
  sources: CidrSet | undefined;
}

/** One opening for each protocol and port, whatever number of rules name it; none where nobody is allowed. */
function openings(rules: SecurityGroup['rules']): Opening[] {
  const byEndpoint = Map.groupBy(rules, ({ protocol, port }) => `${protocol.toLowerCase()}-${port}`);
  return [...byEndpoint].flatMap(([chain, united]) => {
    const [protocol = '', port] = chain.split('-');
    const everyone = united.some((rule) => rule.allowed_cidrs == null);
    const sources = everyone ? undefined : uniteCidrs(united.flatMap((rule) => rule.allowed_cidrs ?? []));
    const nobody = sources && FAMILIES.every((family) => sources[family].length === 0);
    return nobody ? [] : [{ chain, protocol, port: Number(port), sources }];
  });
}

function listenerChain({ chain, sources }: Opening): nft.Command[] {
  if (!sources) return [nft.addChain(chain), nft.addRule(chain, nft.counter, nft.accept)];
  const open = FAMILIES.filter((family) => sources[family].length > 0);
  const sets = open.filter((family) => !isWholeFamily(sources[family], family));
  return [
    ...sets.map((family) => {
      const elements = sources[family].map((interval) => nft.interval(interval, family));
      return nft.addIntervalSet(`${chain}-${family}`, nft.addressType(family), elements);
    }),
    nft.addChain(chain),
    ...open.map((family) => {
      const source = sets.includes(family)
        ? nft.equals(nft.field(nft.header(family), 'saddr'), `@${chain}-${family}`)
        : nft.equals(nft.meta('nfproto'), `ipv${family}`);
      return nft.addRule(chain, source, nft.counter, nft.accept);
    }),
  ];
}

/** VRRP and stick tables, from the other amphorae of this load balancer only. */
function vrrp(group: SecurityGroup): nft.Command[] {
  return [
    ...FAMILIES.map((family) =>
      nft.addSet(`vrrp-peers-${family}`, nft.addressType(family), ofFamily(group.vrrp_peers, family)),
    ),
    nft.addChain('vrrp-peer'),
    nft.addRule('vrrp-peer', nft.equals(nft.meta('l4proto'), VRRP_PROTOCOL), nft.accept),
    nft.addRule('vrrp-peer', nft.equals(nft.field('tcp', 'dport'), PEER_PORT), nft.accept),
    nft.addRule(
      'vrrp-peer',
      nft.equals(nft.field('tcp', 'sport'), PEER_PORT),
      nft.opensNoConnection,
      nft.accept,
    ),
    nft.addChain('vrrp'),
    ...FAMILIES.map((family) =>
      nft.addRule(
        'vrrp',
        nft.equals(nft.field(nft.header(family), 'saddr'), `@vrrp-peers-${family}`),
        nft.jump('vrrp-peer'),
      ),
    ),
  ];
}

/** What members answer; none of them can open a connection. */
function member(group: SecurityGroup): nft.Command[] {
  return [
    ...FAMILIES.map((family) =>
      nft.addSet(
        `members-${family}`,
        [nft.addressType(family), 'inet_proto', 'inet_service'],
        endpoints(group, family),
      ),
    ),
    nft.addChain('member-reply'),
    nft.addRule('member-reply', nft.opensConnection, nft.drop),
    nft.addRule('member-reply', nft.opensAssociation, nft.drop),
    nft.addRule('member-reply', nft.counter, nft.accept),
    nft.addChain('member'),
    ...FAMILIES.map((family) => {
      const source = nft.concat(
        nft.field(nft.header(family), 'saddr'),
        nft.meta('l4proto'),
        nft.field('th', 'sport'),
      );
      return nft.addRule('member', nft.equals(source, `@members-${family}`), nft.goto('member-reply'));
    }),
  ];
}

function endpoints(group: SecurityGroup, family: Family): nft.Expression[] {
  const unique = new Map<string, nft.Expression>();
  for (const { address, protocol, port } of group.members) {
    const parsed = parseAddress(address);
    if (parsed.family !== family) continue;
    const parts = [formatAddress(parsed), protocol.toLowerCase(), port] as const;
    unique.set(parts.join(' '), nft.concat(...parts));
  }
  return [...unique.values()];
}

function ofFamily(addresses: readonly string[], family: Family): string[] {
  const parsed = addresses.map(parseAddress).filter((address) => address.family === family);
  return [...new Set(parsed.map(formatAddress))];
}
