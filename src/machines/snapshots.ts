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
    // Version 3 tells the changes that are being applied from those that wait. In version 2 none ever waited.
    2: (stored) => {
      const { value, context } = stored.snapshot as { value: string | object; context: Version2 };
      const { appliedRevision, desiredRevision, ownChange, restoring } = context;
      const undecided = typeof value === 'object' && 'updating' in value && !restoring;
      return withContext(stored, {
        decidedRevision: undecided ? appliedRevision : desiredRevision,
        pass: { revision: desiredRevision, ownChange },
        ownChange: false,
      });
    },
    // Version 4 goes on without an amphora of a pair that does not keep up. In version 3 each was counted on.
    3: (stored) => {
      const { context } = stored.snapshot as { context: { amphorae: object[] } };
      const amphorae = context.amphorae.map((amphora) => ({ ...amphora, standing: 'included' }));
      return withContext(stored, { amphorae, peersChanged: false });
    },
  },
  // Version 2 can be excluded.
  amphora: { 1: (stored) => withContext(stored, { retries: 0 }) },
};

/** What of a load balancer's context in version 2 means something else in version 3. */
interface Version2 {
  appliedRevision: number;
  desiredRevision: number;
  ownChange: boolean;
  restoring: boolean;
}

function withContext({ snapshot, effects }: StoredSnapshot, added: object): StoredSnapshot {
  const { context } = snapshot as { context: object };
  return { snapshot: { ...snapshot, context: { ...context, ...added } }, effects };
}
