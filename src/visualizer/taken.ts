import { type ChartState, type ChartTransition, isWithin, type Statechart } from './statechart.ts';

/** What the history of an actor says about one event. */
export interface RecordedStep {
  /** Type of the event. */
  event: string;
  /** The state before, empty at birth, and after. */
  from: string;
  to: string;
}

/**
 * Keys of the transitions that an event must have taken, in order: one that is waiting for it, and then those that need no
 * event, up to the recorded state. Guards are not known here, so it is the shortest way; empty when there is none.
 */
export function transitionsTaken(
  { root, states, transitions }: Statechart,
  { event, from, to }: RecordedStep,
): string[] {
  const waiting = (state: string, type: string) =>
    transitions
      .filter((transition) => transition.event === type && isWithin(state, transition.from))
      .sort((one, other) => other.from.length - one.from.length);
  const after = (state: string, transition: ChartTransition) =>
    transition.to === undefined ? state : entered(states.get(transition.to));

  const paths: { state: string; keys: string[] }[] =
    from === ''
      ? [{ state: entered(root), keys: [] }]
      : waiting(from, event).map((transition) => ({
          state: after(from, transition),
          keys: [transition.key],
        }));
  const seen = new Set<string>();
  for (const { state, keys } of paths) {
    if (state === to) return keys;
    if (seen.has(state)) continue;
    seen.add(state);
    for (const next of waiting(state, ''))
      paths.push({ state: after(state, next), keys: [...keys, next.key] });
  }
  return [];
}

/** The innermost state that is entered with this one. */
function entered(state: ChartState | undefined): string {
  const first = state?.states.find(({ initial }) => initial);
  return first ? entered(first) : (state?.path ?? '');
}
