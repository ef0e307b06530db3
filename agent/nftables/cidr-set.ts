import { BITS, type Family, parseNetwork } from '../ip-address.ts';

/** Consecutive addresses of one family, both ends included. */
export interface Interval {
  first: bigint;
  last: bigint;
}

/** Per family, disjoint intervals in ascending order with a gap between any two. */
export type CidrSet = Record<Family, Interval[]>;

/**
 * Unite CIDRs, in whatever order they come and however they overlap, touch or repeat. nft refuses elements of
 * an interval set that overlap, so it must never see them.
 */
export function uniteCidrs(cidrs: Iterable<string>): CidrSet {
  const intervals: CidrSet = { 4: [], 6: [] };
  for (const cidr of cidrs) {
    const { family, value, prefix } = parseNetwork(cidr);
    intervals[family].push({ first: value, last: value + (1n << BigInt(BITS[family] - prefix)) - 1n });
  }
  return { 4: unite(intervals[4]), 6: unite(intervals[6]) };
}

/** Whether these are all addresses of the family. */
export function isWholeFamily(intervals: readonly Interval[], family: Family): boolean {
  const [only] = intervals;
  return only?.first === 0n && only.last === (1n << BigInt(BITS[family])) - 1n;
}

/** The length of the network that an interval is; undefined for one that is not a network. */
export function prefixOf({ first, last }: Interval, family: Family): number | undefined {
  const size = last - first + 1n;
  const host = Math.log2(Number(size));
  const isNetwork = Number.isInteger(host) && 1n << BigInt(host) === size && (first & (size - 1n)) === 0n;
  return isNetwork ? BITS[family] - host : undefined;
}

/** The networks that an interval consists of, in ascending order. */
export function networksOf(interval: Interval, family: Family): { first: bigint; prefix: number }[] {
  const { first, last } = interval;
  // Almost all are one network; 10,000 of them are a part of the time that new rules take.
  const prefix = prefixOf(interval, family);
  if (prefix !== undefined) return [{ first, prefix }];
  const networks: { first: bigint; prefix: number }[] = [];
  for (let next = first; next <= last; ) {
    let host = 0;
    // As large as its first address lets it be, and its last one.
    while ((next & (1n << BigInt(host))) === 0n && next + (2n << BigInt(host)) - 1n <= last) host += 1;
    networks.push({ first: next, prefix: BITS[family] - host });
    next += 1n << BigInt(host);
  }
  return networks;
}

function unite(intervals: Interval[]): Interval[] {
  intervals.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const united: Interval[] = [];
  for (const interval of intervals) {
    const previous = united.at(-1);
    if (!previous || interval.first > previous.last + 1n) united.push(interval);
    else if (interval.last > previous.last) previous.last = interval.last;
  }
  return united;
}
