import * as z from 'zod';
import type { FirewallCounters } from '../../src/amphora-api/security-group.ts';
import { acceptedBy, droppedBy } from './openings.ts';
import { DROPPED, PEERS, type Ruleset } from './ruleset.ts';

/** The parts of `nft -j list counters` that are looked at. */
const Listing = z.object({
  nftables: z.array(
    z.object({
      counter: z.object({ name: z.string(), packets: z.number(), bytes: z.number() }).optional(),
    }),
  ),
});

/** Sort what nft lists by the listeners of the rule set. */
export function readCounters(listing: string, { openings }: Pick<Ruleset, 'openings'>): FirewallCounters {
  const { nftables } = Listing.parse(JSON.parse(listing));
  const counters = new Map(nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter]] : [])));
  const count = (name: string) => {
    const { packets = 0, bytes = 0 } = counters.get(name) ?? {};
    return { packets, bytes };
  };
  return {
    listeners: openings.map(({ protocol, port, chain }) => ({
      protocol,
      port,
      accepted: count(acceptedBy(chain)),
      dropped: count(droppedBy(chain)),
    })),
    peers: count(PEERS),
    dropped: count(DROPPED),
  };
}
