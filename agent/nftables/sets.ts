import { createHash } from 'node:crypto';
import type { MemberEndpoint } from '../../src/amphora-api/security-group.ts';
import { type Family, formatAddress, parseAddress } from '../ip-address.ts';
import type { CidrSet } from './cidr-set.ts';
import * as nft from './statements.ts';

/**
 * A named set that never changes: part of its name is a digest of its elements, and other elements make another set. A change
 * can then make it before any rule uses it (see `replace`).
 */
export interface NftSet {
  name: string;
  type: nft.Expression;
  flags?: 'interval';
  elem: nft.Expression[];
}

/** Where rules find a set: `@tcp-80-4-0a1b2c3d4e` for `tcp-80-4`. */
export type SetReference = (title: string) => string;

/** @throws TypeError by the reference, for a set that is not there */
export function referenceTo(sets: readonly NftSet[]): SetReference {
  const names = new Map(sets.map(({ name }) => [name.slice(0, name.lastIndexOf('-')), name]));
  return (title) => {
    const name = names.get(title);
    if (name === undefined) throw new TypeError(`no set ${title}`);
    return `@${name}`;
  };
}

/** Addresses of one family. */
export function addressSet(title: string, addresses: readonly string[], family: Family): NftSet {
  const parsed = addresses.map(parseAddress).filter((address) => address.family === family);
  return named(title, family, {
    type: nft.addressType(family),
    elem: [...new Set(parsed.map(formatAddress))].sort(),
  });
}

/** Networks of one family. */
export function intervalSet(title: string, cidrs: CidrSet, family: Family): NftSet {
  return named(title, family, {
    type: nft.addressType(family),
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
    type: nft.concat(nft.addressType(family), 'inet_proto', 'inet_service'),
    elem: [...new Set(elements)].sort(),
  });
}

function named(title: string, family: Family, set: Omit<NftSet, 'name'>): NftSet {
  const digest = createHash('sha256').update(JSON.stringify(set)).digest('hex').slice(0, 10);
  return { name: `${title}-${family}-${digest}`, ...set };
}
