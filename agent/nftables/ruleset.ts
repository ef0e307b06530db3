import type { ListenerRule, MemberEndpoint, SecurityGroup } from '../../src/amphora-api/security-group.ts';
import { type Family, formatAddress, parseAddress, toCidr } from '../ip-address.ts';
import { type CidrSet, isWholeFamily, uniteCidrs } from './cidr-set.ts';
import * as nft from './statements.ts';

/** What an interface is there for. The VIP's also reaches members, so it usually has both roles. */
export type InterfaceRole = 'vip' | 'member';

export interface FirewallInterface {
  name: string;
  roles: readonly InterfaceRole[];
  /** false: somebody else filters what arrives here. */
  filtered: boolean;
  /** Its own addresses, and the VIPs that it may hold, in canonical spelling. */
  addresses: readonly string[];
  vips: readonly string[];
}

/** What an amphora lets in: a security group as it came, or what an Octavia controller's interface rules mean. */
export interface Admission extends Omit<SecurityGroup, 'members'> {
  /** Addresses or CIDRs. */
  vrrp_peers: string[];
  /** `unknown`: whoever answers what this amphora has begun. */
  members: MemberEndpoint[] | 'unknown';
}

/** The content of table `inet amphora`. */
export interface Ruleset {
  counters: { name: string }[];
  sets: NftSet[];
  chains: NftChain[];
  /** Verdict map from protocol . port to a listener's chain. */
  listeners: { protocol: ListenerRule['protocol']; port: number; chain: string }[];
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
  base?: {
    type: 'filter' | 'nat';
    hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
    prio: number;
    policy: 'accept' | 'drop';
  };
  rules: nft.Rule[];
}

/** Nothing is admitted: what an amphora starts with. */
export const CLOSED: SecurityGroup = { revision: 0, vips: [], rules: [], vrrp_peers: [], members: [] };

/** Whether a controller made it; revisions begin with 1. */
export function isOpen({ revision }: Pick<Admission, 'revision'>): boolean {
  return revision > CLOSED.revision;
}

/** Name of the verdict map. */
export const LISTENERS = 'listeners';

/** Counter of what was for no listener. */
export const DROPPED = 'dropped';

/** The counters of a listener's chain. */
export const acceptedBy = (chain: string) => `${chain}-accepted`;
export const droppedBy = (chain: string) => `${chain}-dropped`;

const VRRP_PROTOCOL = 112;
/** Port on which haproxy peers exchange stick tables (contract E1). */
const PEER_PORT = 1025;
const FAMILIES = [4, 6] as const;
const EVERYONE = ['0.0.0.0/0', '::/0'];
/** Priority raw comes before connection tracking, which then lets every packet be that is marked `notrack`. */
const RAW = -300;
const SOURCE_NAT = 100;
/** Linux's default net.ipv4.ip_local_port_range: from there this amphora begins connections. */
const EPHEMERAL_PORTS = nft.range(32_768, 60_999);
/** LVS takes over the client's port where it is free. */
const UNPRIVILEGED_PORTS = nft.range(1_024, 65_535);

/** On a packet that prerouting has accepted. */
const ADMITTED = 1;
const admit: nft.Statement[] = [nft.setMeta('mark', ADMITTED), nft.accept];
const admitted = nft.equals(nft.meta('mark'), ADMITTED);
const fromLoopback = nft.equals(nft.meta('iifname'), 'lo');

interface RulesetOptions {
  /** Trace at most so many dropped packets a second, for whoever listens; none by default. */
  tracedPerSecond?: number | undefined;
}

/**
 * The whole firewall of an amphora. Pure.
 *
 * Prerouting decides, before the kernel spends a route, a socket or an answer on a packet; the later hooks let through
 * what it has marked. No rule asks for a connection's state: what the amphora itself begins (members, peers) is admitted
 * back by its source and by not opening a connection. IPv4 and IPv6 are equal.
 *
 * Nothing is tracked either, with one exception: LVS translates addresses of UDP and SCTP, which takes tracking. While
 * there is such a listener its flows are exempted, and their source is translated on the way to the members.
 */
export function renderRuleset(
  admission: Admission,
  interfaces: readonly FirewallInterface[],
  { tracedPerSecond }: RulesetOptions = {},
): Ruleset {
  const openings = uniteRules(admission.rules);
  const unfiltered = interfaces.some(({ filtered }) => !filtered);
  const translated = unfiltered || openings.some(({ protocol }) => protocol !== 'TCP');
  return {
    counters: [DROPPED, ...openings.flatMap(({ chain }) => [acceptedBy(chain), droppedBy(chain)])].map(
      (name) => ({
        name,
      }),
    ),
    sets: [
      ...FAMILIES.flatMap((family) => [
        addressSet('vips', admission.vips, family),
        intervalSet('vrrp-peers', uniteCidrs(admission.vrrp_peers.map(toCidr)), family),
        addressSet('pinged', admission.pinged ?? [], family),
        memberSet(admission, family),
      ]),
      ...openings.flatMap(sourceSets),
    ],
    chains: [
      droppedChain(tracedPerSecond),
      ...openings.map(listenerChain),
      { name: 'vip', rules: FAMILIES.map(toListener) },
      ...vrrpChains(),
      ...memberChains(admission, translated),
      icmpChain(isOpen(admission)),
      ...baseChains(interfaces, translated),
    ],
    listeners: openings.map(({ chain, protocol, port }) => ({ chain, protocol, port })),
  };
}

function baseChains(interfaces: readonly FirewallInterface[], translated: boolean): NftChain[] {
  const filter = (hook: 'prerouting' | 'input' | 'forward', prio: number, rules: nft.Rule[]): NftChain => ({
    name: hook,
    base: { type: 'filter', hook, prio, policy: 'drop' },
    rules,
  });
  const arriving = (
    which: (arrival: FirewallInterface) => boolean,
    ...verdict: nft.Statement[]
  ): nft.Rule[] => {
    const names = interfaces.filter(which).map(({ name }) => name);
    return names.length > 0 ? [[nft.among(nft.meta('iifname'), names.sort()), ...verdict]] : [];
  };
  const arrivingFor = (role: InterfaceRole, chain: string) =>
    arriving(({ filtered, roles }) => filtered && roles.includes(role), nft.jump(chain));
  // Errors are told of the flows that they belong to, and no flows of their own.
  const untranslated = nft.amongOthers(nft.meta('l4proto'), ['udp', 'sctp', 'icmp', 'ipv6-icmp']);
  return [
    filter('prerouting', RAW, [
      [fromLoopback, nft.notrack, nft.accept],
      translated ? [untranslated, nft.notrack] : [nft.notrack],
      ...arriving(({ filtered }) => !filtered, ...admit),
      ...arrivingFor('vip', 'vip'),
      ...arrivingFor('vip', 'vrrp'),
      ...arrivingFor('member', 'member'),
      [nft.among(nft.meta('l4proto'), ['icmp', 'ipv6-icmp']), nft.jump('icmp')],
      // They bear no mark: the datagram has it, once it is whole, if its first fragment was admitted.
      [nft.laterFragment, nft.accept],
      [nft.count(DROPPED), nft.goto('dropped')],
    ]),
    filter('input', 0, [
      [admitted, nft.accept],
      [fromLoopback, nft.accept],
    ]),
    // Answers of LVS members, on their way to the client.
    filter('forward', 0, translated ? [[admitted, nft.accept]] : []),
    {
      name: 'output',
      base: { type: 'filter', hook: 'output', prio: RAW, policy: 'accept' },
      rules: [[nft.notrack]],
    },
    ...(translated ? [masqueradeChain()] : []),
  ];
}

/** Members of UDP and SCTP answer to this amphora, not to the client. */
function masqueradeChain(): NftChain {
  return {
    name: 'masquerade',
    base: { type: 'nat', hook: 'postrouting', prio: SOURCE_NAT, policy: 'accept' },
    rules: [[nft.among(nft.meta('l4proto'), ['udp', 'sctp']), nft.masquerade]],
  };
}

/** The end of what nobody admits. */
function droppedChain(tracedPerSecond: number | undefined): NftChain {
  const trace = tracedPerSecond ? [[nft.atMost(tracedPerSecond), nft.setMeta('nftrace', 1)]] : [];
  return { name: 'dropped', rules: [...trace, [nft.drop]] };
}

/** Path-MTU and neighbour discovery, and answers to pings that check members. */
function icmpChain(open: boolean): NftChain {
  const echoed = (family: Family, header: string): nft.Rule => [
    nft.equals(nft.field(header, 'type'), 'echo-reply'),
    nft.equals(nft.field(nft.header(family), 'saddr'), `@pinged-${family}`),
    ...admit,
  ];
  return {
    name: 'icmp',
    rules: [
      [nft.equals(nft.field('icmp', 'type'), 'destination-unreachable'), ...admit],
      [nft.among(nft.field('icmpv6', 'type'), open ? [...ICMPV6_TYPES, ANSWERED] : ICMPV6_TYPES), ...admit],
      echoed(4, 'icmp'),
      echoed(6, 'icmpv6'),
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
function toListener(family: Family): nft.Rule {
  const endpoint = nft.concat(nft.meta('l4proto'), nft.field('th', 'dport'));
  return [
    nft.equals(nft.field(nft.header(family), 'daddr'), `@vips-${family}`),
    nft.verdictMap(endpoint, `@${LISTENERS}`),
  ];
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
        [nft.equals(nft.meta('l4proto'), VRRP_PROTOCOL), ...admit],
        [nft.equals(nft.field('tcp', 'dport'), PEER_PORT), ...admit],
        [nft.equals(nft.field('tcp', 'sport'), PEER_PORT), nft.opensNoConnection, ...admit],
      ],
    },
    { name: 'vrrp', rules: FAMILIES.map(fromPeer) },
  ];
}

/** What members answer; none of them can open a connection. */
function memberChains({ members }: Admission, translated: boolean): NftChain[] {
  const fromMember = (family: Family): nft.Rule => {
    const source = nft.concat(
      nft.field(nft.header(family), 'saddr'),
      nft.meta('l4proto'),
      nft.field('th', 'sport'),
    );
    return [nft.equals(source, `@members-${family}`), nft.goto('member-reply')];
  };
  const fromAnyone = (family: Family): nft.Rule[] => {
    const toOwnAddress = nft.differs(nft.field(nft.header(family), 'daddr'), `@vips-${family}`);
    const udpAndSctp = [nft.among(nft.meta('l4proto'), ['udp', 'sctp'])];
    return [
      [toOwnAddress, nft.equals(nft.field('tcp', 'dport'), EPHEMERAL_PORTS), nft.goto('member-reply')],
      ...(translated
        ? [
            [
              toOwnAddress,
              ...udpAndSctp,
              nft.equals(nft.field('th', 'dport'), UNPRIVILEGED_PORTS),
              nft.goto('member-reply'),
            ],
          ]
        : []),
    ];
  };
  return [
    {
      name: 'member-reply',
      rules: [
        [nft.opensNoConnection, ...admit],
        [nft.equals(nft.meta('l4proto'), 'udp'), ...admit],
        [nft.equals(nft.meta('l4proto'), 'sctp'), nft.opensNoAssociation, ...admit],
      ],
    },
    {
      name: 'member',
      rules: members === 'unknown' ? FAMILIES.flatMap(fromAnyone) : FAMILIES.map(fromMember),
    },
  ];
}

interface Opening extends Pick<ListenerRule, 'protocol' | 'port'> {
  chain: string;
  sources: CidrSet;
}

/** One opening for each protocol and port, whatever number of rules name it; none where nobody is allowed. */
function uniteRules(rules: readonly ListenerRule[]): Opening[] {
  const byChain = Map.groupBy(rules, ({ protocol, port }) => `${protocol.toLowerCase()}-${port}`);
  return [...byChain].flatMap(([chain, united]) => {
    const [{ protocol, port }] = united as [ListenerRule];
    const sources = uniteCidrs(united.flatMap(({ allowed_cidrs }) => allowed_cidrs ?? EVERYONE));
    const nobody = FAMILIES.every((family) => sources[family].length === 0);
    return nobody ? [] : [{ chain, protocol, port, sources }];
  });
}

function listenerChain({ chain, sources }: Opening): NftChain {
  const allowed = FAMILIES.filter((family) => sources[family].length > 0).map((family) => {
    const source = nft.field(nft.header(family), 'saddr');
    const matches = isWholeFamily(sources[family], family)
      ? nft.differs(source, LOOPBACK[family])
      : nft.equals(source, `@${chain}-${family}`);
    return [matches, nft.count(acceptedBy(chain)), ...admit];
  });
  return { name: chain, rules: [...allowed, [nft.count(droppedBy(chain)), nft.goto('dropped')]] };
}

/** Nobody on a network has these. */
const LOOPBACK = { 4: nft.prefix('127.0.0.0', 8), 6: '::1' };

function sourceSets({ chain, sources }: Opening): NftSet[] {
  return FAMILIES.filter(
    (family) => sources[family].length > 0 && !isWholeFamily(sources[family], family),
  ).map((family) => intervalSet(chain, sources, family));
}

function intervalSet(name: string, cidrs: CidrSet, family: Family): NftSet {
  return {
    name: `${name}-${family}`,
    type: nft.addressType(family),
    flags: ['interval'],
    elem: cidrs[family].map((interval) => nft.interval(interval, family)),
  };
}

function addressSet(name: string, addresses: readonly string[], family: Family): NftSet {
  const parsed = addresses.map(parseAddress).filter((address) => address.family === family);
  const elem = [...new Set(parsed.map(formatAddress))].sort();
  return { name: `${name}-${family}`, type: nft.addressType(family), elem };
}

function memberSet({ members }: Admission, family: Family): NftSet {
  const unique = new Map<string, nft.Expression>();
  for (const { address, protocol, port } of members === 'unknown' ? [] : members) {
    const parsed = parseAddress(address);
    if (parsed.family !== family) continue;
    const parts = [formatAddress(parsed), protocol.toLowerCase(), port] as const;
    unique.set(parts.join(' '), nft.concat(...parts));
  }
  const elem = [...unique.keys()].sort().map((key) => unique.get(key) as nft.Expression);
  return { name: `members-${family}`, type: [nft.addressType(family), 'inet_proto', 'inet_service'], elem };
}
