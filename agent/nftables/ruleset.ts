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

/** The content of table `inet amphora`. */
export interface Ruleset {
  sets: NftSet[];
  chains: NftChain[];
  /** Verdict map from protocol . port to a listener's chain. */
  listeners: { key: nft.Expression; chain: string }[];
}

export interface NftSet {
  name: string;
  type: string | string[];
  flags?: ['interval'];
  elem: nft.Expression[];
}

export interface NftChain {
  name: string;
  /** Base chains only: where packets come in, and what happens to those that no rule decides. */
  base?: { hook: 'prerouting' | 'input' | 'output'; prio: number; policy: 'accept' | 'drop' };
  rules: nft.Rule[];
}

/** Nothing is admitted: what an amphora starts with. */
export const CLOSED: SecurityGroup = { revision: 0, vips: [], rules: [], vrrp_peers: [], members: [] };

/** Whether a controller made the group; its revisions begin with 1. */
export function isOpen({ revision }: SecurityGroup): boolean {
  return revision > CLOSED.revision;
}

/** Name of the verdict map. */
export const LISTENERS = 'listeners';

const VRRP_PROTOCOL = 112;
/** Port on which haproxy peers exchange stick tables (contract E1). */
const PEER_PORT = 1025;
const FAMILIES = [4, 6] as const;

/**
 * The whole firewall of an amphora. Pure.
 *
 * Stateless: nothing is tracked and no rule asks for a connection's state. What the amphora itself begins
 * (members, peers) is admitted back by its source and by not opening a TCP connection. IPv4 and IPv6 are equal.
 */
export function renderRuleset(group: SecurityGroup, interfaces: readonly FirewallInterface[]): Ruleset {
  const openings = uniteRules(group.rules);
  return {
    sets: [
      ...FAMILIES.flatMap((family) => [
        addressSet('vips', group.vips, family),
        addressSet('vrrp-peers', group.vrrp_peers, family),
        memberSet(group, family),
      ]),
      ...openings.flatMap(sourceSets),
    ],
    chains: [
      ...openings.map(listenerChain),
      ...vipChains(),
      ...vrrpChains(),
      ...memberChains(),
      inputChain(interfaces, isOpen(group)),
      // Priority raw runs before connection tracking, which then lets every packet be.
      {
        name: 'prerouting',
        base: { hook: 'prerouting', prio: -300, policy: 'accept' },
        rules: [[nft.notrack]],
      },
      { name: 'output', base: { hook: 'output', prio: -300, policy: 'accept' }, rules: [[nft.notrack]] },
    ],
    listeners: openings.map(({ chain, protocol, port }) => ({ key: nft.concat(protocol, port), chain })),
  };
}

function inputChain(interfaces: readonly FirewallInterface[], open: boolean): NftChain {
  const arrivingFor = (role: InterfaceRole, chain: string): nft.Rule[] => {
    const names = interfaces.filter(({ roles }) => roles.includes(role)).map(({ name }) => name);
    return names.length > 0 ? [[nft.among(nft.meta('iifname'), names.sort()), nft.jump(chain)]] : [];
  };
  return {
    name: 'input',
    base: { hook: 'input', prio: 0, policy: 'drop' },
    rules: [
      [nft.equals(nft.meta('iifname'), 'lo'), nft.accept],
      [nft.equals(nft.field('ip', 'saddr'), nft.prefix('127.0.0.0', 8)), nft.drop],
      [nft.equals(nft.field('ip6', 'saddr'), '::1'), nft.drop],
      [nft.equals(nft.field('icmp', 'type'), 'destination-unreachable'), nft.accept],
      [nft.among(nft.field('icmpv6', 'type'), open ? [...ICMPV6_TYPES, ANSWERED] : ICMPV6_TYPES), nft.accept],
      ...arrivingFor('vip', 'vip'),
      ...arrivingFor('vip', 'vrrp'),
      ...arrivingFor('member', 'member'),
    ],
  };
}

const ICMPV6_TYPES = [
  'destination-unreachable',
  'packet-too-big',
  'nd-neighbor-advert',
  // A switch that snoops multicast forgets who listens to neighbour solicitations unless its queries are answered.
  'mld-listener-query',
];

/** Only answered for once the firewall is open: until then another amphora may have the VIP. */
const ANSWERED = 'nd-neighbor-solicit';

/** To a VIP, on a listener's protocol and port; that listener's chain decides about the source. */
function vipChains(): NftChain[] {
  const endpoint = nft.concat(nft.meta('l4proto'), nft.field('th', 'dport'));
  const toListener = (family: Family): nft.Rule => [
    nft.equals(nft.field(nft.header(family), 'daddr'), `@vips-${family}`),
    nft.verdictMap(endpoint, `@${LISTENERS}`),
  ];
  return [{ name: 'vip', rules: FAMILIES.map(toListener) }];
}

/** VRRP and stick tables, from the other amphorae of this load balancer only. */
function vrrpChains(): NftChain[] {
  const fromPeer = (family: Family): nft.Rule => [
    nft.equals(nft.field(nft.header(family), 'saddr'), `@vrrp-peers-${family}`),
    nft.jump('vrrp-peer'),
  ];
  return [
    {
      name: 'vrrp-peer',
      rules: [
        [nft.equals(nft.meta('l4proto'), VRRP_PROTOCOL), nft.accept],
        [nft.equals(nft.field('tcp', 'dport'), PEER_PORT), nft.accept],
        [nft.equals(nft.field('tcp', 'sport'), PEER_PORT), nft.opensNoConnection, nft.accept],
      ],
    },
    { name: 'vrrp', rules: FAMILIES.map(fromPeer) },
  ];
}

/** What members answer; none of them can open a connection. */
function memberChains(): NftChain[] {
  const fromMember = (family: Family): nft.Rule => {
    const source = nft.concat(
      nft.field(nft.header(family), 'saddr'),
      nft.meta('l4proto'),
      nft.field('th', 'sport'),
    );
    return [nft.equals(source, `@members-${family}`), nft.goto('member-reply')];
  };
  return [
    {
      name: 'member-reply',
      rules: [
        [nft.opensConnection, nft.drop],
        [nft.opensAssociation, nft.drop],
        [nft.counter, nft.accept],
      ],
    },
    { name: 'member', rules: FAMILIES.map(fromMember) },
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
function uniteRules(rules: SecurityGroup['rules']): Opening[] {
  const byEndpoint = Map.groupBy(rules, ({ protocol, port }) => `${protocol.toLowerCase()}-${port}`);
  return [...byEndpoint].flatMap(([chain, united]) => {
    const [protocol = '', port] = chain.split('-');
    const everyone = united.some((rule) => rule.allowed_cidrs == null);
    const sources = everyone ? undefined : uniteCidrs(united.flatMap((rule) => rule.allowed_cidrs ?? []));
    const nobody = sources && FAMILIES.every((family) => sources[family].length === 0);
    return nobody ? [] : [{ chain, protocol, port: Number(port), sources }];
  });
}

function listenerChain({ chain, sources }: Opening): NftChain {
  if (!sources) return { name: chain, rules: [[nft.counter, nft.accept]] };
  const rules = FAMILIES.filter((family) => sources[family].length > 0).map((family) => {
    const source = isWholeFamily(sources[family], family)
      ? nft.equals(nft.meta('nfproto'), `ipv${family}`)
      : nft.equals(nft.field(nft.header(family), 'saddr'), `@${chain}-${family}`);
    return [source, nft.counter, nft.accept];
  });
  return { name: chain, rules };
}

function sourceSets({ chain, sources }: Opening): NftSet[] {
  if (!sources) return [];
  return FAMILIES.filter(
    (family) => sources[family].length > 0 && !isWholeFamily(sources[family], family),
  ).map((family) => ({
    name: `${chain}-${family}`,
    type: nft.addressType(family),
    flags: ['interval'],
    elem: sources[family].map((interval) => nft.interval(interval, family)),
  }));
}

function addressSet(name: string, addresses: readonly string[], family: Family): NftSet {
  const parsed = addresses.map(parseAddress).filter((address) => address.family === family);
  const elem = [...new Set(parsed.map(formatAddress))].sort();
  return { name: `${name}-${family}`, type: nft.addressType(family), elem };
}

function memberSet({ members }: SecurityGroup, family: Family): NftSet {
  const unique = new Map<string, nft.Expression>();
  for (const { address, protocol, port } of members) {
    const parsed = parseAddress(address);
    if (parsed.family !== family) continue;
    const parts = [formatAddress(parsed), protocol.toLowerCase(), port] as const;
    unique.set(parts.join(' '), nft.concat(...parts));
  }
  const elem = [...unique.keys()].sort().map((key) => unique.get(key) as nft.Expression);
  return { name: `members-${family}`, type: [nft.addressType(family), 'inet_proto', 'inet_service'], elem };
}
