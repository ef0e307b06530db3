import type { ActorStore } from '../../src/actors/store.ts';

/** A store whose every call goes through `around`. */
export function storeThrough(
  store: ActorStore,
  around: <T>(call: () => Promise<T>) => Promise<T>,
): ActorStore {
  return {
    load: (actor) => around(() => store.load(actor)),
    commit: (commit) => around(() => store.commit(commit)),
    mailbox: (actor, limit) => around(() => store.mailbox(actor, limit)),
    waiting: (partitions, limit) => around(() => store.waiting(partitions, limit)),
    busy: (partition) => around(() => store.busy(partition)),
    timers: (partitions, horizonMs) => around(() => store.timers(partitions, horizonMs)),
    bury: (envelope, error) => around(() => store.bury(envelope, error)),
    quarantine: (actor, reason, node, epoch) => around(() => store.quarantine(actor, reason, node, epoch)),
    renewLeases: (node, leaseMs, inherit) => around(() => store.renewLeases(node, leaseMs, inherit)),
    releaseLeases: (node, partitions) => around(() => store.releaseLeases(node, partitions)),
    removeNode: (node) => around(() => store.removeNode(node)),
  };
}
