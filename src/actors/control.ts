import * as z from 'zod';

/** How much a node has in hand. */
const load = {
  /** Partitions that it holds by lease. */
  partitions: z.int().min(0),
  /** Actors in memory. */
  actors: z.int().min(0),
  /** Effects that run, or wait for their turn. */
  effects: z.int().min(0),
};
const NodeLoad = z.object(load);
export type NodeLoad = z.infer<typeof NodeLoad>;

/** What a node answers when it is pinged. */
export const NodeReport = z.object({
  node: z.string(),
  version: z.string(),
  /** When its process began to work, by that host's clock. */
  since: z.iso.datetime(),
  ...load,
});
export type NodeReport = z.infer<typeof NodeReport>;

/** What can be asked of a node. */
export interface Controlled {
  load(): NodeLoad;
  /** Renew the leases out of turn. */
  lookAtLeases(): void;
}

/**
 * How nodes are reached as such, beside the mailboxes of their actors: at most once, and nothing depends on it. Which node
 * may hold what is in rows, which every node reads each time it renews its leases; this only makes it do so at once.
 */
export interface Control {
  /** Answer what is asked from now on. */
  attend(node: Controlled): void;
  /** Have all nodes look at their leases: what these may be has changed. Never throws. */
  leasesChanged(): void;
  /** What the nodes say that are there; ends when as many as `expected` have answered, or after a second. */
  ping(expected: number): Promise<NodeReport[]>;
}
