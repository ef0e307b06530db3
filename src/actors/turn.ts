import type { AnyStateMachine } from 'xstate';
import type { SendParams, SpawnParams } from '../machines/actions.ts';
import type { ActorAddress } from '../machines/address.ts';
import { machineVersions } from '../machines/registry.ts';
import { changedRows } from '../machines/row-change.ts';
import { type ActorEvent, interpret, type Outcome } from './interpreter.ts';
import { START } from './mailbox.ts';
import type { ActorId, ActorRow, Commit, Follower, Step } from './store.ts';

/** More than any chart leads to; actors that answer each other for ever must not keep a commit from being made. */
const MAX_FOLLOWERS = 16;

/** What one actor does in a commit, in one step or several. */
export interface Part {
  /** As it was loaded or, when the commit brings it to life, as it is born. */
  before: ActorRow;
  after: ActorRow;
  /** What all its steps together come to. */
  outcome: Outcome;
  steps: Step[];
  born: boolean;
}

/** What a step sends: the first event of those that it spawns, then its messages. */
export function sentBy({ spawned, messages }: Outcome): (SpawnParams | SendParams)[] {
  return [...spawned, ...messages];
}

/** To whom what. */
export function letterOf(sent: SpawnParams | SendParams): { to: ActorAddress; event: ActorEvent } {
  return 'input' in sent
    ? { to: sent.address, event: START }
    : (sent as { to: ActorAddress; event: ActorEvent });
}

/**
 * What a step leads to at once: actors at hand take what it sends them, and what those send in turn. Each message that is
 * taken here is never stored, and costs no commit and no journey of its own.
 *
 * A message is left to be stored when its actor is not at hand or cannot take it, or would change a row that has been
 * changed: one statement can do that only once. So is whatever else is sent to that actor, for the order's sake.
 * @param atHand the actor as it is now, if it takes part
 */
export function followersOf(
  first: Step,
  machineOf: (actor: ActorId) => AnyStateMachine,
  atHand: (actor: ActorAddress) => ActorRow | undefined,
): Follower[] {
  const rows = new Map([[keyOf(first.actor), advance(first)]]);
  const changed = new Set(first.outcome.rowChanges.flatMap(changedRows));
  const left = new Set<string>();
  const followers: Follower[] = [];
  const sent = sentBy(first.outcome);
  for (const takes of sent) {
    const { to, event } = letterOf(takes);
    const key = keyOf(to);
    const step = left.has(key) || followers.length === MAX_FOLLOWERS ? undefined : take(takes, to, event);
    if (step === undefined || step.outcome.rowChanges.flatMap(changedRows).some((row) => changed.has(row))) {
      left.add(key);
      continue;
    }
    followers.push({ ...step, takes });
    rows.set(key, advance(step));
    for (const row of step.outcome.rowChanges.flatMap(changedRows)) changed.add(row);
    sent.push(...sentBy(step.outcome));
  }
  return followers;

  function take(takes: SpawnParams | SendParams, to: ActorAddress, event: ActorEvent): Step | undefined {
    const born = 'input' in takes ? newborn(takes, first.actor.partition) : undefined;
    const actor = rows.get(keyOf(to)) ?? born ?? atHand(to);
    if (actor === undefined || actor.done) return undefined;
    try {
      return { actor, event, outcome: interpret(machineOf(to), actor, event) };
    } catch {
      return undefined; // It becomes a dead letter when the actor comes to it by itself.
    }
  }
}

/** An actor before its first event. */
export function newborn(
  { address: { kind, id }, input }: { address: ActorId; input: object },
  partition: number,
): ActorRow {
  return {
    ...{ kind, id, partition, input, machineVersion: machineVersions[kind], version: 0, state: '' },
    ...{ snapshot: null, effects: {}, done: false, quarantined: null },
  };
}

/** A commit by actors, the first one's part first; with those that are born and take no step yet. */
export function partsOf(commit: Commit): Part[] {
  const parts = new Map<string, Part>();
  for (const step of [commit, ...commit.followers]) {
    const key = keyOf(step.actor);
    const part = parts.get(key);
    const after = advance(step);
    if (part?.steps.length) {
      const outcome = joined(part.outcome, step.outcome);
      parts.set(key, { ...part, after, outcome, steps: [...part.steps, step] });
    } else {
      const { before, born } = part ?? { before: step.actor, born: false };
      parts.set(key, { before, after, outcome: step.outcome, steps: [step], born });
    }
    for (const spawned of step.outcome.spawned) {
      const before = newborn(spawned, commit.actor.partition);
      parts.set(keyOf(before), { before, after: before, outcome: unmoved, steps: [], born: true });
    }
  }
  return [...parts.values()];
}

/** The actor after the step. */
export function advance({ actor, outcome: { snapshot, state, effects, done } }: Step): ActorRow {
  const machineVersion = machineVersions[actor.kind];
  return { ...actor, version: actor.version + 1, snapshot, state, effects, done, machineVersion };
}

/** Two steps of one actor as if they were one: what the first begins and the second ends never happens. */
function joined(first: Outcome, second: Outcome): Outcome {
  const rearmed = new Set(second.armedTimers.map(({ name }) => name));
  const ended = new Set([...second.stoppedEffects, ...second.disarmedTimers]);
  return {
    ...second,
    previousState: first.previousState,
    startedEffects: [...first.startedEffects.filter((id) => !ended.has(id)), ...second.startedEffects],
    stoppedEffects: [...first.stoppedEffects, ...second.stoppedEffects],
    armedTimers: [
      ...first.armedTimers.filter(({ name }) => !ended.has(name) && !rearmed.has(name)),
      ...second.armedTimers,
    ],
    disarmedTimers: [...first.disarmedTimers.filter((name) => !rearmed.has(name)), ...second.disarmedTimers],
    messages: [...first.messages, ...second.messages],
    spawned: [...first.spawned, ...second.spawned],
    rowChanges: [...first.rowChanges, ...second.rowChanges],
  };
}

const unmoved: Outcome = {
  ...{ snapshot: {}, state: '', previousState: '', handled: true, done: false, effects: {} },
  ...{ startedEffects: [], stoppedEffects: [], armedTimers: [], disarmedTimers: [] },
  ...{ messages: [], spawned: [], rowChanges: [] },
};

function keyOf({ kind, id }: ActorId): string {
  return `${kind}/${id}`;
}
