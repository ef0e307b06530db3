import { BITS, type Family, formatAddress } from '../ip-address.ts';
import { type Interval, prefixOf } from './cidr-set.ts';

/**
 * The words of nft (man nft, 1.0.6) that our rules need, and the only place that writes them. What comes from outside goes in
 * as numbers, as addresses that were numbers, or through `quote`, so none of it can become a rule.
 */
export type Expression = string | number;
export type Statement = string;

/** A rule is its statements, evaluated in order while they match. */
export type Rule = Statement[];

export const meta = (key: string): Expression => `meta ${key}`;
export const field = (protocol: string, name: string): Expression => `${protocol} ${name}`;
export const concat = (...parts: Expression[]): string => parts.join(' . ');
export const list = (items: readonly Expression[]): string => `{ ${items.join(', ')} }`;

/** An interface's name; nft has no way to escape what could end it, or stand for others. */
export function quote(name: string): Expression {
  if (!/^[\w.:@-]+$/.test(name)) throw new TypeError(`not the name of an interface: ${name}`);
  return `"${name}"`;
}

/** Consecutive addresses, in a set or alone; a network where they are one, which the kernel compares sooner. */
export function interval(it: Interval, family: Family): Expression {
  const text = (value: bigint) => formatAddress({ family, value });
  if (it.first === it.last) return text(it.first);
  const prefix = prefixOf(it, family);
  return prefix === undefined ? `${text(it.first)}-${text(it.last)}` : network(text(it.first), prefix);
}

/** A network by its first address. */
export const network = (first: Expression, prefix: number): Expression => `${first}/${prefix}`;
/** The network of that length which an address is in. */
export const masked = (address: Expression, prefix: number, family: Family): Expression => {
  const host = BigInt(BITS[family] - prefix);
  const mask = ((1n << BigInt(prefix)) - 1n) << host;
  return `${address} & ${formatAddress({ family, value: mask })}`;
};

export const ADDRESS_TYPES: Record<Family, string> = { 4: 'ipv4_addr', 6: 'ipv6_addr' };
export const header = (family: Family) => (family === 4 ? 'ip' : 'ip6');

export const equals = (left: Expression, right: Expression): Statement => `${left} ${right}`;
export const differs = (left: Expression, right: Expression): Statement => `${left} != ${right}`;
export const among = (left: Expression, set: string[]): Statement => equals(left, list(set));
export const amongOthers = (left: Expression, set: string[]): Statement => differs(left, list(set));
export const verdictMap = (key: Expression, map: string): Statement => `${key} vmap @${map}`;
export const range = (first: number, last: number): Expression => `${first}-${last}`;

export const accept: Statement = 'accept';
export const drop: Statement = 'drop';
export const notrack: Statement = 'notrack';
export const masquerade: Statement = 'masquerade';
/** Count in a counter of the table, which outlives the rules that use it. */
export const count = (name: string): Statement => `counter name "${name}"`;
export const jump = (target: string): Statement => `jump ${target}`;
export const goto = (target: string): Statement => `goto ${target}`;
export const setMeta = (key: string, value: number): Statement => `meta ${key} set ${value}`;
export const atMost = (perSecond: number): Statement =>
  `limit rate ${perSecond}/second burst ${perSecond} packets`;

/**
 * A TCP segment that opens no connection: not a SYN without ACK. A fragment that is too short to have flags does not
 * match, so accept by this and never drop by its opposite.
 */
export const opensNoConnection: Statement = 'tcp flags & (syn | ack) != syn';
/** A TCP segment that opens a connection. */
export const opensConnection: Statement = 'tcp flags & (syn | ack) == syn';
/** An SCTP packet that begins no association. */
export const opensNoAssociation: Statement = 'sctp chunk init missing';
/** A fragment other than the first of its IPv4 datagram: it has no ports. */
export const laterFragment: Statement = 'ip frag-off & 0x1fff != 0';

/** Of a packet that prerouting has accepted, and that may be forwarded. */
const ADMITTED = 1;
export const mark: Statement = setMeta('mark', ADMITTED);
export const admitted: Statement = equals(meta('mark'), ADMITTED);
