import type { ActorKind } from './address.ts';

/** What is stored of an actor and depends on its chart, as JSON. */
export interface StoredSnapshot {
  /** XState's persisted snapshot: `value`, `context`, `children`, ... */
  snapshot: object;
  /** Running effects by id. */
  effects: Record<string, { src: string; input: object; token: number }>;
}

/** Makes of what one version of a chart stored what the next one would have. Pure. */
export type SnapshotMigration = (stored: StoredSnapshot) => StoredSnapshot;

/**
 * For each kind, the migrations by the version that they lead away from. A chart whose version is raised needs one from
 * the version before; `test/golden/snapshots/` has snapshots of every version, which a test restores.
 */
export const snapshotMigrations: Record<ActorKind, Record<number, SnapshotMigration>> = {
  'load-balancer': {
    // Version 2 can fail over.
    1: (stored) => withContext(stored, { replacements: [], failedOver: false }),
  },
  amphora: {},
};

function withContext({ snapshot, effects }: StoredSnapshot, added: object): StoredSnapshot {
  const { context } = snapshot as { context: object };
  return { snapshot: { ...snapshot, context: { ...context, ...added } }, effects };
}
