import type { AnyStateMachine } from 'xstate';
import { machineVersions } from '../machines/registry.ts';
import { type StoredSnapshot, snapshotMigrations } from '../machines/snapshots.ts';
import { type ActorState, initialContext, restore } from './interpreter.ts';
import type { ActorRow } from './store.ts';

/** What is stored of an actor does not fit the chart that this process has. */
export class UnreadableSnapshotError extends Error {}

/**
 * A stored actor as this process's chart understands it: migrated from the version that wrote it, and checked. Called
 * once whenever an actor is loaded; what the chart itself wrote since needs no check.
 * @throws UnreadableSnapshotError with the reason, for an operator
 */
export function readStored(
  machine: AnyStateMachine,
  row: ActorRow,
  version = machineVersions[row.kind],
  migrations = snapshotMigrations[row.kind],
): ActorRow {
  const { machineVersion } = row;
  if (machineVersion > version) {
    throw new UnreadableSnapshotError(
      `written by version ${machineVersion} of the ${row.kind} machine; this process has version ${version}`,
    );
  }
  if (row.snapshot === null) return row;
  try {
    let stored: StoredSnapshot = { snapshot: row.snapshot, effects: row.effects };
    for (let from = machineVersion; from < version; from++) {
      const migrate = migrations[from];
      if (migrate === undefined) throw new Error(`there is no migration from version ${from}`);
      stored = migrate(stored);
    }
    const read = { ...row, ...(stored as Pick<ActorState, 'snapshot' | 'effects'>), machineVersion: version };
    check(machine, read);
    return read;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnreadableSnapshotError(
      `the snapshot, of version ${machineVersion}, does not fit version ${version} of the ${row.kind} machine: ${reason}`,
      { cause: error },
    );
  }
}

/**
 * Whether the chart has the snapshot's states, all of its own context (null and absent mean the same to charts), and the
 * effects that run.
 */
function check(machine: AnyStateMachine, { snapshot, input, effects }: ActorState): void {
  const { context } = restore(machine, snapshot ?? {});
  const missing = Object.entries(initialContext(machine, input)).flatMap(([key, value]) =>
    value != null && context[key] === undefined ? [key] : [],
  );
  if (missing.length > 0) throw new Error(`its context lacks ${missing.join(', ')}`);
  for (const { src } of Object.values(effects)) {
    if (!Object.hasOwn(machine.implementations.actors, src)) throw new Error(`there is no effect ${src}`);
  }
}
