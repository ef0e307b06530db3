import { createHash } from 'node:crypto';
import type { MemberEndpoint } from '../../src/amphora-api/security-group.ts';
import { BITS, type Family, formatAddress, parseAddress } from '../ip-address.ts';
import { type CidrSet, networksOf } from './cidr-set.ts';
import * as nft from './statements.ts';

/**
 * A named set that never changes: part of its name is a digest of its elements, and other elements make another set. A change
 * can then make it before any rule uses it (see `replace`).
 */
export interface NftSet {
  name: string;
  type: string;
  flags?: 'interval';
  /** Its elements are networks of this length, and what is looked for is cut to it. */
  prefix?: number;
  elem: nft.Expression[];
}

/** What rules look for: `@tcp-80-4-0a1b2c3d4e` for `tcp-80-4`, or what that set consists of. */
export type SetReference = (title: string) => nft.Expression;

/** @throws TypeError by the reference, for a set that is not there */
export function referenceTo(sets: readonly NftSet[]): SetReference {
  const references = new Map(
    sets.map((set) => [set.name.slice(0, set.name.lastIndexOf('-')), only(set) ?? `@${set.name}`]),
  );
  return (title) => {
    const reference = references.get(title);
    if (reference === undefined) throw new TypeError(`no set ${title}`);
    return reference;
  };
}

/** Those that rules look into. */
export function lookedInto(sets: readonly NftSet[]): NftSet[] {
  return sets.filter((set) => only(set) === undefined);
}

/** A single element, which is sooner compared than looked up. nft compares no concatenations. */
function only({ type, prefix, elem }: NftSet): nft.Expression | undefined {
  if (elem.length !== 1 || !Object.values(nft.ADDRESS_TYPES).includes(type)) return undefined;
  return prefix === undefined ? elem[0] : nft.network(elem[0] as nft.Expression, prefix);
}

/** Whether an address is in the set. */
export function within(address: nft.Expression, set: NftSet): nft.Statement {
  const alone = only(set);
  if (alone !== undefined) return nft.equals(address, alone);
  const family = set.type === nft.ADDRESS_TYPES[4] ? 4 : 6;
  return nft.equals(
    set.prefix === undefined ? address : nft.masked(address, set.prefix, family),
    `@${set.name}`,
  );
}

/** Addresses of one family. */
export function addressSet(title: string, addresses: readonly string[], family: Family): NftSet {
  const parsed = addresses.map(parseAddress).filter((address) => address.family === family);
  return named(title, family, {
    type: nft.ADDRESS_TYPES[family],
    elem: [...new Set(parsed.map(formatAddress))].sort(),
  });
}

/**
 * Networks of one family, to be asked one after the other. The kernel searches intervals in a tree, which takes it longer the
 * more there are: the twentieth part of a connection's time for thousands. Networks of one length it finds at once, by a hash;
 * so where there are many of a few lengths, each length is a set. What a look-up by hash takes is about two steps in a tree.
 */
export function networkSets(title: string, cidrs: CidrSet, family: Family): NftSet[] {
  const networks = cidrs[family].flatMap((interval) => networksOf(interval, family));
  const byLength = [...Map.groupBy(networks, ({ prefix }) => prefix)].sort(([a], [b]) => b - a);
  if (byLength.length * 2 > Math.log2(cidrs[family].length)) return [intervalSet(title, cidrs, family)];
  return byLength.map(([prefix, ofLength]) =>
    named(`${title}-${prefix}`, family, {
      type: nft.ADDRESS_TYPES[family],
      ...(prefix < BITS[family] && { prefix }),
      elem: ofLength.map(({ first }) => formatAddress({ family, value: first })),
    }),
  );
}

/** Networks of one family. */
export function intervalSet(title: string, cidrs: CidrSet, family: Family): NftSet {
  return named(title, family, {
    type: nft.ADDRESS_TYPES[family],
    flags: 'interval',
    elem: cidrs[family].map((interval) => nft.interval(interval, family)),
  });
}

/** Address, protocol and port of members of one family. */
export function memberSet(title: string, members: readonly MemberEndpoint[], family: Family): NftSet {
  const elements = members.flatMap(({ address, protocol, port }) => {
    const parsed = parseAddress(address);
    return parsed.family === family ? [nft.concat(formatAddress(parsed), protocol.toLowerCase(), port)] : [];
  });
  return named(title, family, {
    type: nft.concat(nft.ADDRESS_TYPES[family], 'inet_proto', 'inet_service'),
    elem: [...new Set(elements)].sort(),
  });
}

function named(title: string, family: Family, set: Omit<NftSet, 'name'>): NftSet {
  const digest = createHash('sha256').update(JSON.stringify(set)).digest('hex').slice(0, 10);
  return { name: `${title}-${family}-${digest}`, ...set };
}
