import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type EventObject,
  getMicrosteps,
  type StateNode,
} from 'xstate';
import { type AdjacencyMap, getAdjacencyMap } from 'xstate/graph';
import { stateName } from '../../src/actors/interpreter.ts';
import type { RowParams } from '../../src/machines/actions.ts';
import { touchesLoadBalancer } from '../../src/machines/row-change.ts';

type AnyStateNode = StateNode<never, never>;

interface Step {
  state: AnyMachineSnapshot;
  event: EventObject;
}

export interface Exploration {
  /** Every leaf state that was reached. */
  reached: Set<string>;
  /** Transitions that were taken, as `state: event -> target`; what always happens in a state has no event. */
  taken: Set<string>;
  /** Transitions that change the load balancer's row more than once, which one statement cannot. */
  clashes: string[];
  /** Leaf states from which none of the `settled` ones can be reached. */
  stuck: string[];
}

export interface ExplorationOptions {
  input: object;
  /** Events that others may send in this state; results and deadlines are added. */
  commands(snapshot: AnyMachineSnapshot): EventObject[];
  /** Possible results of an effect. */
  outputs: Record<string, object | null>;
  errors: object[];
  /** What of the context tells states apart; without it a counter would make them endless. */
  distinguish(snapshot: AnyMachineSnapshot): unknown;
  settled(state: string): boolean;
}

/** Walk a chart through every state that its events, results, failures and deadlines lead to. */
export function explore(machine: AnyStateMachine, options: ExplorationOptions): Exploration {
  const taken = new Set<string>();
  const map = getAdjacencyMap(machine, {
    input: options.input as never,
    events: (snapshot) => eventsOf(snapshot as AnyMachineSnapshot, options),
    serializeState: (snapshot) => {
      const state = snapshot as AnyMachineSnapshot;
      return JSON.stringify([state.value, options.distinguish(state)]);
    },
    serializeEvent: (event) => JSON.stringify(event),
    limit: 100_000,
  });

  const successors = new Map<string, Set<string>>();
  const reached = new Set<string>();
  const clashes: string[] = [];
  for (const [key, { state: snapshot, transitions }] of Object.entries(
    map as AdjacencyMap<AnyMachineSnapshot, EventObject>,
  )) {
    reached.add(stateName(snapshot.value));
    successors.set(key, new Set());
    for (const { state: next, event } of Object.values(transitions) as Step[]) {
      for (const candidate of machine.getTransitionData(snapshot, event) ?? []) {
        taken.add(describe(candidate));
      }
      const steps = getMicrosteps(machine, snapshot, event);
      for (const [index, [after]] of steps.slice(1).entries()) {
        const [before] = steps[index] as (typeof steps)[number];
        for (const each of betweenEvents(before, after)) taken.add(describe(each));
      }
      const changes = steps
        .flatMap(([, actions]) => actions as { type: string; params?: unknown }[])
        .filter(({ type }) => type === 'rows')
        .flatMap(({ params }) => (params as RowParams).changes);
      if (changes.filter(touchesLoadBalancer).length > 1)
        clashes.push(`${stateName(snapshot.value)}: ${event.type}`);
      successors.get(key)?.add(JSON.stringify([next.value, options.distinguish(next)]));
    }
  }
  const stuck = Object.entries(map)
    .filter(([key]) => !canSettle(key, successors, options.settled))
    .map(([key]) => key);
  return { reached, taken, clashes, stuck };
}

/** All leaf states of a chart. */
export function leafStates(machine: AnyStateMachine): string[] {
  return nodes(machine)
    .filter((node) => node.type === 'atomic' || node.type === 'final')
    .map((node) => node.path.join('.'));
}

/** All transitions on events, as `explore` writes them. */
export function eventTransitions(machine: AnyStateMachine): string[] {
  return nodes(machine).flatMap((node) => [...node.transitions.values()].flat().map(describe));
}

/** All transitions without an event. */
export function eventlessTransitions(machine: AnyStateMachine): string[] {
  return nodes(machine).flatMap((node) => (node.always ?? []).map(describe));
}

/** The transitions without an event that lead from one snapshot to the next. */
function betweenEvents(before: AnyMachineSnapshot, after: AnyMachineSnapshot) {
  const [left, entered] = [before, after].map(({ _nodes }) => _nodes as unknown as AnyStateNode[]);
  return (left ?? [])
    .flatMap((node) => node.always ?? [])
    .filter(({ target }) => target?.every((each) => entered?.includes(each as unknown as AnyStateNode)));
}

/** Whether a leaf state, or one around it, ends by itself after some time. */
export function hasDeadline(machine: AnyStateMachine, state: string): boolean {
  return nodes(machine).some(
    (node) =>
      node.after.length > 0 && (state === node.path.join('.') || state.startsWith(`${node.path.join('.')}.`)),
  );
}

function nodes(machine: AnyStateMachine): AnyStateNode[] {
  const collect = (node: AnyStateNode): AnyStateNode[] => [
    node,
    ...Object.values(node.states).flatMap((child) => collect(child as AnyStateNode)),
  ];
  return collect(machine.root as unknown as AnyStateNode);
}

function eventsOf(
  snapshot: AnyMachineSnapshot,
  { commands, outputs, errors }: ExplorationOptions,
): EventObject[] {
  if (snapshot.status !== 'active') return [];
  const active = snapshot._nodes as unknown as AnyStateNode[];
  const results = active.flatMap((node) =>
    node.invoke.flatMap(({ id }) => [
      { type: `xstate.done.actor.${id}`, output: outputs[id] ?? null, actorId: id },
      ...errors.map((error) => ({ type: `xstate.error.actor.${id}`, error, actorId: id })),
    ]),
  );
  const deadlines = active.flatMap((node) => node.after.map(({ eventType }) => ({ type: eventType })));
  return [...results, ...deadlines, ...commands(snapshot)];
}

function describe(definition: {
  source: { path: string[] };
  eventType: string;
  target?: readonly { path: string[] }[] | undefined;
  guard?: unknown;
}): string {
  const target = definition.target?.map(({ path }) => path.join('.')).join(',') ?? '(none)';
  return `${definition.source.path.join('.') || '(root)'}: ${definition.eventType} -> ${target}`;
}

function canSettle(
  start: string,
  successors: Map<string, Set<string>>,
  settled: (state: string) => boolean,
): boolean {
  const seen = new Set<string>();
  const queue = [start];
  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    if (seen.has(key)) continue;
    seen.add(key);
    const [value] = JSON.parse(key) as [AnyMachineSnapshot['value']];
    if (settled(stateName(value))) return true;
    queue.push(...(successors.get(key) ?? []));
  }
  return false;
}
