import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from 'xstate';
import { eventInWords, guardInWords, timeInWords } from './words.ts';

/** A machine as it is drawn: states in states, and what leads from one to another, in words. */
export interface Statechart {
  /** Name of the machine. */
  id: string;
  root: ChartState;
  /** All of them by path, from the outside in. */
  states: ReadonlyMap<string, ChartState>;
  /** In the order of the machine; an event that several transitions may take is offered to them in this order. */
  transitions: ChartTransition[];
}

export interface ChartState {
  /** As actors have it, `creating.awaitingAmphorae`; empty for the machine itself. */
  path: string;
  name: string;
  kind: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  /** It is entered when the state around it is. */
  initial: boolean;
  /** Names of the effects that run while it lasts. */
  effects: string[];
  states: ChartState[];
}

export interface ChartTransition {
  /** Names the transition as long as the machine is the same. */
  key: string;
  /** Paths of states; without `to`, the event changes no state. */
  from: string;
  to: string | undefined;
  /** As it is recorded: `CHANGED`, `xstate.done.actor.allocateVip`; empty where none is needed. */
  event: string;
  cause: 'message' | 'done' | 'failed' | 'time' | 'none';
  /** What makes it happen and under which condition, in words. */
  label: string;
  condition: string;
}

/** Read a machine. Pure. */
export function statechartOf(machine: AnyStateMachine): Statechart {
  const root = stateOf(machine.root);
  return {
    id: machine.id,
    root,
    states: new Map(statesOf(root).map((state) => [state.path, state])),
    transitions: nodesOf(machine.root).flatMap((node) => transitionsOf(machine, node)),
  };
}

/** A state and all below it, from the outside in. */
function statesOf(state: ChartState): ChartState[] {
  return [state, ...state.states.flatMap(statesOf)];
}

/** Whether `inner` is `outer` or lies in it, by their paths. */
export function isWithin(inner: string, outer: string): boolean {
  return outer === '' || inner === outer || inner.startsWith(`${outer}.`);
}

/** Path of the state around; the machine's own for those at the top. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('.')));
}

function nodesOf(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap(nodesOf)];
}

function pathOf(node: AnyStateNode): string {
  return node.path.join('.');
}

function stateOf(node: AnyStateNode): ChartState {
  return {
    path: pathOf(node),
    name: node.key,
    kind: node.type,
    initial: node.parent?.initial?.target.includes(node) ?? false,
    effects: node.invoke.map(({ id }) => id),
    states: Object.values(node.states).map(stateOf),
  };
}

function transitionsOf(machine: AnyStateMachine, node: AnyStateNode): ChartTransition[] {
  const candidates = [...[...node.transitions.values()].flat(), ...(node.always ?? [])];
  const offered = new Map<string, number>();
  return candidates.map((definition) => {
    const event = definition.eventType;
    const position = offered.get(event) ?? 0;
    offered.set(event, position + 1);
    return {
      key: [pathOf(node), event, ...(position > 0 ? [position] : [])].join('/'),
      from: pathOf(node),
      to: definition.target?.map(pathOf).join('|'),
      ...causeOf(machine, definition, position),
    };
  });
}

function causeOf(
  machine: AnyStateMachine,
  { eventType: event, guard }: AnyTransitionDefinition,
  position: number,
): Pick<ChartTransition, 'event' | 'cause' | 'label' | 'condition'> {
  const words = guard === undefined ? '' : guardInWords(guard);
  if (event === '') {
    const label = words === '' ? (position > 0 ? 'else' : 'at once') : `when ${words}`;
    return { event, cause: 'none', label, condition: '' };
  }
  const condition = words === '' ? '' : `if ${words}`;
  const { cause, name } = eventInWords(event);
  if (cause === 'message') return { event, cause, label: name, condition };
  if (cause !== 'time') return { event, cause, label: `${name} ${cause}`, condition };
  const ms = machine.implementations.delays[name] ?? Number(name);
  return { event, cause, label: `after ${timeInWords(Number(ms))}`, condition };
}
