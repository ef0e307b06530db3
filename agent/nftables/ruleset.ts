import type { MemberEndpoint, SecurityGroup } from '../../src/amphora-api/security-group.ts';
import { type Family, toCidr } from '../ip-address.ts';
import { uniteCidrs } from './cidr-set.ts';
import { acceptedBy, droppedBy, type Opening, openingChain, uniteRules } from './openings.ts';
import {
  addressSet,
  intervalSet,
  lookedInto,
  memberSet,
  type NftSet,
  referenceTo,
  type SetReference,
} from './sets.ts';
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
  counters: string[];
  sets: NftSet[];
  chains: NftChain[];
  maps: NftMap[];
  /** What the chains of listeners are for. */
  openings: Omit<Opening, 'sources'>[];
}

/** What is known of a rule set in force: all but the elements of its sets, which their names stand for. */
export type Outline = Omit<Ruleset, 'sets'> & { sets: Pick<NftSet, 'name'>[] };

export function outline(ruleset: Ruleset): Outline {
  return { ...ruleset, sets: ruleset.sets.map(({ name }) => ({ name })) };
}

/** A map from what a packet is to the chain that decides about it. */
export interface NftMap {
  name: string;
  type: nft.Expression;
  elem: { key: nft.Expression; verdict: nft.Statement }[];
}

export interface NftChain {
  name: string;
  /** Base chains only: where packets come in, and what happens to those that no rule decides. */
  base?: {
    type: 'filter' | 'nat';
    hook: 'prerouting' | 'forward' | 'output' | 'postrouting';
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

/** Counter of what was for no listener. */
export const DROPPED = 'dropped';

/** Counter of what peers sent. */
export const PEERS = 'peers';

const VRRP_PROTOCOL = 112;
/** Port on which haproxy peers exchange stick tables (contract E1). */
const PEER_PORT = 1025;
const FAMILIES = [4, 6] as const;
/** Priority raw comes before connection tracking, which then lets every packet be that is marked `notrack`. */
const RAW = -300;
const SOURCE_NAT = 100;
/** Linux's default net.ipv4.ip_local_port_range: from there this amphora begins connections. */
const EPHEMERAL_PORTS = nft.range(32_768, 60_999);
/** LVS takes over the client's port where it is free. */
const UNPRIVILEGED_PORTS = nft.range(1_024, 65_535);

/** Which chain decides, by the interface of arrival, and by protocol and port of a VIP. */
const ARRIVALS = 'arrivals';
const LISTENERS = 'listeners';

/** Of this many the kernel compares one after the other sooner than it looks in a map. */
const COMPARED_LISTENERS = 2;

/** Group of the interfaces (`ip link set group`) behind which rules have the chain `vip`; all others are in group 0. */
const VIP_GROUP = 1;
const ON_VIP_INTERFACE = nft.equals(nft.meta('iifgroup'), VIP_GROUP);

const fromLoopback = nft.equals(nft.meta('iifname'), nft.quote('lo'));

interface RulesetOptions {
  /** Trace at most so many dropped packets a second, for whoever listens; none by default. */
  tracedPerSecond?: number | undefined;
}

/**
 * The whole firewall of an amphora. Pure.
 *
 * Prerouting decides, before the kernel spends a route, a socket or an answer on a packet; nothing reaches a socket without
 * passing it, so no later hook looks again. No rule asks for a connection's state: what the amphora itself begins (members,
 * peers) is admitted back by its source and by not opening a connection. IPv4 and IPv6 are equal.
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
  const members = admission.members === 'unknown' ? [] : admission.members;
  const listeners = openings.map(openingChain);
  const peers = uniteCidrs(admission.vrrp_peers.map(toCidr));
  const sets = [
    ...FAMILIES.flatMap((family) => [
      addressSet('vips', admission.vips, family),
      intervalSet('vrrp-peers', peers, family),
      addressSet('pinged', admission.pinged ?? [], family),
      memberSet('members', members, family),
    ]),
    ...listeners.flatMap((listener) => listener.sets),
  ];
  const at = referenceTo(sets);
  const counters = [
    DROPPED,
    PEERS,
    ...openings.flatMap(({ chain }) => [acceptedBy(chain), droppedBy(chain)]),
  ];
  return {
    counters,
    sets: lookedInto(sets),
    chains: [
      droppedChain(tracedPerSecond),
      ...listeners.map(({ chain }) => chain),
      // What is for no listener.
      { name: 'vip', rules: [[nft.jump('vrrp')], [nft.jump('member')]] },
      ...vrrpChains(at),
      ...memberChains(admission, translated, at),
      { name: 'unfiltered', rules: [admit(translated)] },
      controlChain(isOpen(admission), translated, at),
      ...baseChains(openings, translated, at),
    ],
    maps: [
      {
        name: LISTENERS,
        type: nft.concat('inet_proto', 'inet_service'),
        elem: openings.map(({ chain, protocol, port }) => ({
          key: nft.concat(protocol.toLowerCase(), port),
          verdict: nft.goto(chain),
        })),
      },
      {
        name: ARRIVALS,
        type: 'ifname',
        elem: [
          { key: nft.quote('lo'), verdict: nft.accept },
          ...interfaces.map((it) => ({ key: nft.quote(it.name), verdict: nft.jump(chainOf(it)) })),
        ],
      },
    ],
    openings: openings.map(({ chain, protocol, port }) => ({ chain, protocol, port })),
  };
}

/** Which group an interface has to be in before anything arrives there. */
export function groupOf(it: Pick<FirewallInterface, 'filtered' | 'roles'>): number {
  return chainOf(it) === 'vip' ? VIP_GROUP : 0;
}

/** Which chain decides about what arrives there. */
function chainOf({
  filtered,
  roles,
}: Pick<FirewallInterface, 'filtered' | 'roles'>): 'unfiltered' | 'vip' | 'member' {
  if (!filtered) return 'unfiltered';
  return roles.includes('vip') ? 'vip' : 'member';
}

function baseChains(openings: readonly Opening[], translated: boolean, at: SetReference): NftChain[] {
  const filter = (
    name: string,
    hook: 'prerouting' | 'forward',
    prio: number,
    rules: nft.Rule[],
  ): NftChain => ({
    name,
    base: { type: 'filter', hook, prio, policy: 'drop' },
    rules,
  });
  // Errors are told of the flows that they belong to, and no flows of their own.
  const untranslated = nft.amongOthers(nft.meta('l4proto'), ['udp', 'sctp', 'icmp', 'ipv6-icmp']);
  return [
    filter('input', 'prerouting', RAW, [
      ...(translated
        ? [
            [fromLoopback, nft.notrack, nft.accept],
            [untranslated, nft.notrack],
          ]
        : [[nft.notrack]]),
      ...toListeners(openings, at),
      UNASKED,
      [nft.verdictMap(nft.meta('iifname'), ARRIVALS)],
      [nft.equals(nft.meta('l4proto'), 'icmp'), nft.jump('control')],
      [nft.equals(nft.meta('l4proto'), 'ipv6-icmp'), nft.jump('control')],
      // Of no use to whoever sent it without the first, which has the ports.
      [nft.laterFragment, nft.accept],
      [nft.count(DROPPED), nft.goto('dropped')],
    ]),
    // What LVS sends on; else nothing.
    filter('forward', 'forward', 0, translated ? [[nft.admitted, nft.accept]] : []),
    {
      name: 'output',
      base: { type: 'filter', hook: 'output', prio: RAW, policy: 'accept' },
      rules: [[nft.notrack]],
    },
    ...(translated ? [masqueradeChain()] : []),
  ];
}

/**
 * What goes to a VIP, on a listener's protocol and port: that listener's chain decides about the source. Here and not in the
 * chain of the interface, because most packets are of this kind, and each chain on their way costs as much as a look-up. For
 * the same reason it is the interface's group that is asked for and not its name, and one or two ports are compared.
 */
function toListeners(openings: readonly Opening[], at: SetReference): nft.Rule[] {
  const toVip = (family: Family) => nft.equals(nft.field(nft.header(family), 'daddr'), at(`vips-${family}`));
  if (openings.length > COMPARED_LISTENERS) {
    const endpoint = nft.concat(nft.meta('l4proto'), nft.field('th', 'dport'));
    return FAMILIES.map((family) => [ON_VIP_INTERFACE, toVip(family), nft.verdictMap(endpoint, LISTENERS)]);
  }
  const inOrder = openings.toSorted((one, other) => (one.chain < other.chain ? -1 : 1));
  return inOrder.flatMap(({ chain, protocol, port }) =>
    FAMILIES.map((family) => [
      nft.equals(nft.field(protocol.toLowerCase(), 'dport'), port),
      ON_VIP_INTERFACE,
      toVip(family),
      nft.goto(chain),
    ]),
  );
}

/**
 * A connection that somebody opens to no listener: only peers may, and no other rule would admit it. It is dropped here, and
 * not where all that is left over ends, because there may be many of them: a flood must cost less than the answers it asks for.
 */
const UNASKED: nft.Rule = [
  ON_VIP_INTERFACE,
  nft.opensConnection,
  nft.differs(nft.field('tcp', 'dport'), PEER_PORT),
  nft.count(DROPPED),
  nft.goto('dropped'),
];

/** Accept what members and routers send; where there is LVS, also on its way through to the client. */
function admit(translated: boolean): nft.Statement[] {
  return translated ? [nft.mark, nft.accept] : [nft.accept];
}

/** Members of UDP and SCTP answer to this amphora, not to the client. */
function masqueradeChain(): NftChain {
  return {
    name: 'source-nat',
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
function controlChain(open: boolean, translated: boolean, at: SetReference): NftChain {
  const echoed = (family: Family, header: string): nft.Rule => [
    nft.equals(nft.field(header, 'type'), 'echo-reply'),
    nft.equals(nft.field(nft.header(family), 'saddr'), at(`pinged-${family}`)),
    ...admit(translated),
  ];
  return {
    name: 'control',
    rules: [
      [nft.equals(nft.field('icmp', 'type'), 'destination-unreachable'), ...admit(translated)],
      [
        nft.among(nft.field('icmpv6', 'type'), open ? [...ICMPV6_TYPES, ANSWERED] : ICMPV6_TYPES),
        ...admit(translated),
      ],
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

/** VRRP and stick tables, from the other amphorae of this load balancer only. */
function vrrpChains(at: SetReference): NftChain[] {
  const fromPeer = (family: Family): nft.Rule => [
    nft.equals(nft.field(nft.header(family), 'saddr'), at(`vrrp-peers-${family}`)),
    nft.jump('vrrp-peer'),
  ];
  return [
    {
      name: 'vrrp-peer',
      rules: [
        [nft.equals(nft.meta('l4proto'), VRRP_PROTOCOL), nft.count(PEERS), nft.accept],
        [nft.equals(nft.field('tcp', 'dport'), PEER_PORT), nft.count(PEERS), nft.accept],
        [
          nft.equals(nft.field('tcp', 'sport'), PEER_PORT),
          nft.opensNoConnection,
          nft.count(PEERS),
          nft.accept,
        ],
      ],
    },
    { name: 'vrrp', rules: FAMILIES.map(fromPeer) },
  ];
}

/** What members answer; none of them can open a connection. */
function memberChains({ members }: Admission, translated: boolean, at: SetReference): NftChain[] {
  const fromMember = (family: Family): nft.Rule => {
    const source = nft.concat(
      nft.field(nft.header(family), 'saddr'),
      nft.meta('l4proto'),
      nft.field('th', 'sport'),
    );
    return [nft.equals(source, at(`members-${family}`)), nft.goto('member-reply')];
  };
  const fromAnyone = (family: Family): nft.Rule[] => {
    const toOwnAddress = nft.differs(nft.field(nft.header(family), 'daddr'), at(`vips-${family}`));
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
        [nft.opensNoConnection, ...admit(translated)],
        [nft.equals(nft.meta('l4proto'), 'udp'), ...admit(translated)],
        [nft.equals(nft.meta('l4proto'), 'sctp'), nft.opensNoAssociation, ...admit(translated)],
      ],
    },
    {
      name: 'member',
      rules: members === 'unknown' ? FAMILIES.flatMap(fromAnyone) : FAMILIES.map(fromMember),
    },
  ];
}
