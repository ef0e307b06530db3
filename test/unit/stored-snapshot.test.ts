import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AnyStateMachine, createMachine } from 'xstate';
import { interpret, rerun } from '../../src/actors/interpreter.ts';
import type { ActorRow } from '../../src/actors/store.ts';
import { readStored, UnreadableSnapshotError } from '../../src/actors/stored-snapshot.ts';
import type { SnapshotMigration } from '../../src/machines/snapshots.ts';

const lamp: AnyStateMachine = createMachine({
  id: 'lamp',
  context: { bulb: 'tungsten' },
  initial: 'off',
  states: { off: { on: { PRESS: 'on' } }, on: { on: { PRESS: 'off' } } },
});
/** Its next version: `off` is called `dark`, and the context knows the switch. */
const newLamp: AnyStateMachine = createMachine({
  id: 'lamp',
  context: { bulb: 'tungsten', switch: 'wall' },
  initial: 'dark',
  states: { dark: { on: { PRESS: 'on' } }, on: { on: { PRESS: 'dark' } } },
});
const migration: SnapshotMigration = ({ snapshot, effects }) => {
  const { value, context } = snapshot as { value: string; context: object };
  return {
    snapshot: {
      ...snapshot,
      value: value === 'off' ? 'dark' : value,
      context: { ...context, switch: 'wall' },
    },
    effects,
  };
};

const born = interpret(lamp, { snapshot: null, input: {}, version: 0, effects: {} }, { type: 'start' });
const stored: ActorRow = {
  kind: 'amphora',
  id: 'a',
  partition: 0,
  machineVersion: 1,
  state: 'off',
  // As the store gives it back.
  snapshot: JSON.parse(JSON.stringify(born.snapshot)),
  input: {},
  effects: {},
  version: 1,
  done: false,
  quarantined: null,
};

function unreadable(reason: RegExp, machine = lamp, row: ActorRow = stored, version = 1): void {
  try {
    readStored(machine, row, version, {});
  } catch (error) {
    assert.instance(error, UnreadableSnapshotError);
    assert.match((error as Error).message, reason);
    return;
  }
  assert.unreachable('the snapshot was read');
}

test('what the same version stored is read as it is', () => {
  assert.equal(readStored(lamp, stored, 1, {}), stored);
});

test('an older version is migrated and goes on where it was', () => {
  const read = readStored(newLamp, stored, 2, { 1: migration });
  assert.is(read.machineVersion, 2);
  assert.is(interpret(newLamp, read, { type: 'PRESS' }).state, 'on');
});

test('a snapshot that does not fit is refused with the reason', () => {
  unreadable(/written by version 2 .* has version 1/, lamp, { ...stored, machineVersion: 2 });
  unreadable(/no migration from version 1/, newLamp, stored, 2);
  unreadable(/'off' does not exist/, newLamp);
  unreadable(/context lacks bulb/, lamp, { ...stored, snapshot: { ...stored.snapshot, context: {} } });
  unreadable(/does not fit/, lamp, { ...stored, snapshot: {} });
  unreadable(/no effect shine/, lamp, {
    ...stored,
    effects: { shine: { src: 'shine' as never, input: {}, token: 1 } },
  });
});

test('a rerun starts the effects of an actor and changes nothing else', () => {
  const effects = { shine: { src: 'pushConfig' as const, input: {}, token: 1 } };
  const outcome = rerun(lamp, { ...stored, snapshot: stored.snapshot ?? {}, effects });
  assert.equal(outcome.startedEffects, ['shine']);
  assert.is(outcome.snapshot, stored.snapshot);
  assert.is(outcome.state, 'off');
});

test.run();
