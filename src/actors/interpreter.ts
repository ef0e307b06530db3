import { type AnyActorScope, type AnyMachineSnapshot, type AnyStateMachine, createActor } from 'xstate';
import type { RowParams, SendParams, SpawnParams } from '../machines/actions.ts';
import type { EffectName } from '../machines/effects.ts';
import type { RowChange } from '../machines/row-change.ts';

export interface ActorEvent {
  type: string;
  [key: string]: unknown;
}

/** An effect that a machine started and has not stopped. `token` is the version of the actor that started it. */
export interface RunningEffect {
  src: EffectName;
  input: object;
  token: number;
}

/** What an actor is, between two events. */
export interface ActorState {
  /** XState's persisted snapshot; null before the first event. */
  snapshot: object | null;
  input: object;
  version: number;
  effects: Record<string, RunningEffect>;
}

/** Everything that one event does to one actor and the world, as data. */
export interface Outcome {
  snapshot: object;
  /** The state's name, as in `updating.configSync`. */
  state: string;
  previousState: string;
  /** The chart knows the event in the state it was in. */
  handled: boolean;
  /** The actor reached a final state: it takes no more events. */
  done: boolean;
  effects: Record<string, RunningEffect>;
  startedEffects: string[];
  stoppedEffects: string[];
  armedTimers: { name: string; event: ActorEvent; delayMs: number }[];
  disarmedTimers: string[];
  messages: SendParams[];
  spawned: SpawnParams[];
  rowChanges: RowChange[];
}

/**
 * Take one transition of a chart: state and event in, everything that follows from it out. Nothing runs; XState never
 * gets a live actor, because one would lose its timers and start its promises again whenever it is restored.
 * @throws whatever the chart throws, or an error when the snapshot does not fit the chart
 */
export function interpret(machine: AnyStateMachine, actor: ActorState, event: ActorEvent): Outcome {
  const before = actor.snapshot === null ? undefined : restore(machine, actor.snapshot);
  const actions: Action[] = [];
  const scope = { ...scopeOf(machine), actionExecutor: (action: Action) => actions.push(action) };
  const after: AnyMachineSnapshot = before
    ? machine.transition(before, event, scope)
    : machine.getInitialSnapshot(scope, actor.input as never);

  const outcome: Outcome = {
    snapshot: machine.getPersistedSnapshot(after) as object,
    state: stateName(after.value),
    previousState: before ? stateName(before.value) : '',
    handled: before === undefined || before.can(event),
    done: after.status === 'done',
    effects: { ...actor.effects },
    ...noActions(),
  };
  // An error that no state of the chart takes up ends it, which no load balancer can afford.
  if (after.status === 'error') throw after.error;
  for (const action of actions) collect(outcome, action, actor.version + 1);
  live.set(outcome.snapshot, after);
  return outcome;
}

/** What a transition without any action asks for; fresh arrays, because the actions are collected into them. */
function noActions(): Omit<Outcome, 'snapshot' | 'state' | 'previousState' | 'handled' | 'done' | 'effects'> {
  return {
    startedEffects: [],
    stoppedEffects: [],
    armedTimers: [],
    disarmedTimers: [],
    messages: [],
    spawned: [],
    rowChanges: [],
  };
}

/** No transition: the actor stays as it is, and all its effects are started, those that run already excepted. */
export function rerun(machine: AnyStateMachine, actor: ActorState & { snapshot: object }): Outcome {
  const state = stateName(restore(machine, actor.snapshot).value);
  return {
    snapshot: actor.snapshot,
    state,
    previousState: state,
    handled: true,
    done: false,
    effects: actor.effects,
    ...noActions(),
    startedEffects: Object.keys(actor.effects),
  };
}

/** What a transition asks for, as XState hands it out. */
interface Action {
  type: string;
  params?: unknown;
}

const scopes = new WeakMap<AnyStateMachine, AnyActorScope>();

/**
 * What XState wants to know of the actor that takes a transition. Ours never lives, so that one will do for all of a chart:
 * XState's own `transition` makes one each time, which takes as long as the transition.
 */
function scopeOf(machine: AnyStateMachine): AnyActorScope {
  let scope = scopes.get(machine);
  if (scope === undefined) {
    const self = createActor(machine, { input: undefined as never });
    const nothing = () => {};
    const { system } = self;
    scope = {
      ...{ self, system, id: '', sessionId: '', logger: nothing, defer: nothing, emit: nothing },
      ...{ stopChild: nothing, actionExecutor: nothing },
    };
    scopes.set(machine, scope);
  }
  return scope;
}

/** Read one action of a transition. The names and parameters are XState's; a contract test pins them. */
function collect(outcome: Outcome, action: Action, version: number): void {
  switch (action.type) {
    case 'xstate.spawnChild': {
      const { id, src, input } = action.params as { id: string; src: EffectName; input: object };
      outcome.effects[id] = { src, input, token: version };
      outcome.startedEffects.push(id);
      break;
    }
    case 'xstate.stopChild': {
      const { id } = action.params as { id: string };
      delete outcome.effects[id];
      outcome.startedEffects = outcome.startedEffects.filter((started) => started !== id);
      outcome.stoppedEffects.push(id);
      break;
    }
    case 'xstate.raise': {
      const { id, event, delay } = action.params as { id: string; event: ActorEvent; delay?: number };
      if (delay === undefined) break; // taken within the same transition already
      outcome.disarmedTimers = outcome.disarmedTimers.filter((name) => name !== id);
      outcome.armedTimers.push({ name: id, event, delayMs: delay });
      break;
    }
    case 'xstate.cancel': {
      const { sendId } = action.params as { sendId: string };
      outcome.armedTimers = outcome.armedTimers.filter(({ name }) => name !== sendId);
      outcome.disarmedTimers.push(sendId);
      break;
    }
    case 'send':
      outcome.messages.push(...(action.params as { messages: SendParams[] }).messages);
      break;
    case 'spawn':
      outcome.spawned.push(...(action.params as { actors: SpawnParams[] }).actors);
      break;
    case 'rows':
      outcome.rowChanges.push(...(action.params as RowParams).changes);
      break;
  }
}

/** Snapshots as their charts see them, by what is stored of them: each is restored once at most. */
const live = new WeakMap<object, AnyMachineSnapshot>();

/** A snapshot as the chart sees it, out of a stored one. @throws an error when it does not fit the chart */
export function restore(machine: AnyStateMachine, snapshot: object): AnyMachineSnapshot {
  const known = live.get(snapshot);
  if (known?.machine === machine) return known;
  const restored: AnyMachineSnapshot = machine.restoreSnapshot(snapshot as never, scopeOf(machine));
  if (restored.status === 'error') throw restored.error;
  live.set(snapshot, restored);
  return restored;
}

/** What an actor of the chart knows when it is born. */
export function initialContext(machine: AnyStateMachine, input: object): object {
  return machine.getInitialSnapshot(scopeOf(machine), input as never).context;
}

/** `{ updating: 'configSync' }` as `updating.configSync`. */
export function stateName(value: AnyMachineSnapshot['value']): string {
  if (typeof value === 'string') return value;
  return Object.entries(value)
    .map(([name, inner]) => (inner === undefined ? name : `${name}.${stateName(inner)}`))
    .join('|');
}

/** Event that reports the result of an effect to its chart. */
export function effectDone(id: string, output: unknown): ActorEvent {
  return { type: `xstate.done.actor.${id}`, output, actorId: id };
}

export function effectFailed(id: string, error: unknown): ActorEvent {
  return { type: `xstate.error.actor.${id}`, error, actorId: id };
}
