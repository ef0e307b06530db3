import type { ListenerRule } from '../../src/amphora-api/security-group.ts';
import type { Family } from '../ip-address.ts';
import { type CidrSet, isWholeFamily, uniteCidrs } from './cidr-set.ts';
import type { NftChain } from './ruleset.ts';
import { type NftSet, networkSets, within } from './sets.ts';
import * as nft from './statements.ts';

/** One port of the VIP, and who may use it. */
export interface Opening extends Pick<ListenerRule, 'protocol' | 'port'> {
  /** Name of its chain, such as `tcp-80`. */
  chain: string;
  sources: CidrSet;
}

/** The counters of an opening's chain. */
export const acceptedBy = (chain: string) => `${chain}-accepted`;
export const droppedBy = (chain: string) => `${chain}-dropped`;

const FAMILIES = [4, 6] as const;
const EVERYONE = ['0.0.0.0/0', '::/0'];
/** Nobody on a network has these. */
const LOOPBACK = { 4: '127.0.0.0/8', 6: '::1' };

/** One opening for each protocol and port, whatever number of rules name it; none where nobody is allowed. */
export function uniteRules(rules: readonly ListenerRule[]): Opening[] {
  const byChain = Map.groupBy(rules, ({ protocol, port }) => `${protocol.toLowerCase()}-${port}`);
  return [...byChain].flatMap(([chain, united]) => {
    const [{ protocol, port }] = united as [ListenerRule];
    const sources = uniteCidrs(united.flatMap(({ allowed_cidrs }) => allowed_cidrs ?? EVERYONE));
    const nobody = FAMILIES.every((family) => sources[family].length === 0);
    return nobody ? [] : [{ chain, protocol, port, sources }];
  });
}

/** Its chain, which decides about each packet to it and counts it, and the sets that it looks sources up in. */
export function openingChain({ chain, protocol, sources }: Opening): { chain: NftChain; sets: NftSet[] } {
  // LVS sends UDP and SCTP on; TCP ends at haproxy.
  const verdict = protocol === 'TCP' ? [nft.accept] : [nft.mark, nft.accept];
  const sets: NftSet[] = [];
  const sourcesOf = (family: Family): nft.Statement[] => {
    const source = nft.field(nft.header(family), 'saddr');
    if (isWholeFamily(sources[family], family)) return [nft.differs(source, LOOPBACK[family])];
    const asked = networkSets(chain, sources, family);
    sets.push(...asked);
    return asked.map((set) => within(source, set));
  };
  const allowed = FAMILIES.filter((family) => sources[family].length > 0)
    .flatMap(sourcesOf)
    .map((matches) => [matches, nft.count(acceptedBy(chain)), ...verdict]);
  const rules = [...allowed, [nft.count(droppedBy(chain)), nft.goto('dropped')]];
  return { chain: { name: chain, rules }, sets };
}
