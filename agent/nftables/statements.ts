import { type Family, formatAddress } from '../ip-address.ts';
import type { Interval } from './cidr-set.ts';

/**
 * The words of libnftables' JSON (man libnftables-json, nft 1.0.6) that our rules need. Values go in as JSON
 * strings and numbers; nft parses each as the one thing its place allows, so none of them can become a rule.
 */
export type Expression = string | number | boolean | { [word: string]: unknown };
export type Statement = { [word: string]: unknown };

/** A rule is its statements, evaluated in order while they match. */
export type Rule = Statement[];

export const meta = (key: string): Expression => ({ meta: { key } });
export const field = (protocol: string, name: string): Expression => ({ payload: { protocol, field: name } });
export const concat = (...parts: Expression[]): Expression => ({ concat: parts });
export const prefix = (addr: string, len: number): Expression => ({ prefix: { addr, len } });

/** A set element for consecutive addresses. */
export function interval({ first, last }: Interval, family: Family): Expression {
  const text = (value: bigint) => formatAddress({ family, value });
  return first === last ? text(first) : { range: [text(first), text(last)] };
}

export const addressType = (family: Family) => (family === 4 ? 'ipv4_addr' : 'ipv6_addr');
export const header = (family: Family) => (family === 4 ? 'ip' : 'ip6');

export const equals = (left: Expression, right: Expression): Statement => ({
  match: { op: '==', left, right },
});
export const among = (left: Expression, set: string[]): Statement => ({
  match: { op: '==', left, right: { set } },
});
export const amongOthers = (left: Expression, set: string[]): Statement => ({
  match: { op: '!=', left, right: { set } },
});
export const verdictMap = (key: Expression, data: string): Statement => ({ vmap: { key, data } });

export const differs = (left: Expression, right: Expression): Statement => ({
  match: { op: '!=', left, right },
});
export const range = (first: number, last: number): Expression => ({ range: [first, last] });

export const accept: Statement = { accept: null };
export const drop: Statement = { drop: null };
export const notrack: Statement = { notrack: null };
export const masquerade: Statement = { masquerade: null };
/** Count in a counter of the table, which outlives the rules that use it. */
export const count = (name: string): Statement => ({ counter: name });
export const jump = (target: string): Statement => ({ jump: { target } });
export const goto = (target: string): Statement => ({ goto: { target } });
export const setMeta = (key: string, value: number): Statement => ({
  mangle: { key: { meta: { key } }, value },
});
export const atMost = (perSecond: number): Statement => ({
  limit: { rate: perSecond, burst: perSecond, per: 'second' },
});

/**
 * A TCP segment that opens no connection: not a SYN without ACK. A fragment that is too short to have flags does not
 * match, so accept by this and never drop by its opposite.
 */
export const opensNoConnection: Statement = {
  match: { op: '!=', left: { '&': [field('tcp', 'flags'), ['syn', 'ack']] }, right: 'syn' },
};
/** An SCTP packet that begins no association. */
export const opensNoAssociation: Statement = {
  match: { op: '==', left: { 'sctp chunk': { name: 'init' } }, right: false },
};
/** A fragment other than the first of its IPv4 datagram: it has no ports. */
export const laterFragment: Statement = {
  match: { op: '!=', left: { '&': [field('ip', 'frag-off'), 0x1fff] }, right: 0 },
};

/** Of a packet that prerouting has accepted, and that may be forwarded. */
const ADMITTED = 1;
export const mark: Statement = setMeta('mark', ADMITTED);
export const admitted: Statement = equals(meta('mark'), ADMITTED);
