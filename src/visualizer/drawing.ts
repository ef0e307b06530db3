import {
  type ChartState,
  type ChartTransition,
  isWithin,
  parentOf,
  type Statechart,
  statesOf,
} from './statechart.ts';

/**
 * What of a chart becomes a box, a line in a box, or an arrow. Arrows tell the story; what leads nowhere, or from nearly
 * everywhere to the same place, is a line in the box that it starts from, because so many arrows say nothing any more.
 */
export interface Drawing {
  root: Box;
  arrows: Arrow[];
}

export interface Box {
  state: ChartState;
  lines: Line[];
  boxes: Box[];
}

export type Line =
  | { kind: 'effect'; name: string }
  /** `target` is where it leads to, if anywhere. */
  | { kind: 'transition'; transition: ChartTransition; target: string | undefined };

export interface Arrow {
  id: string;
  from: string;
  to: string;
  /** Written on the arrow. */
  transitions: ChartTransition[];
  /** Keys of the transitions of states inside that share the arrow, and are lines there. */
  carries: string[];
}

/** More arrows than these to one state, all from beside it, are not drawn. */
const CROWD = 4;

/** Decide how a chart is drawn. Pure. */
export function drawingOf({ root, transitions }: Statechart): Drawing {
  const arrows = new Map<string, Arrow>();
  const lines = new Map<string, Line[]>();
  const order = statesOf(root).map(({ path }) => path);
  const addLine = (transition: ChartTransition) => {
    const { from, to } = transition;
    lines.set(from, [...(lines.get(from) ?? []), { kind: 'transition', transition, target: to }]);
  };
  const arrow = (from: string, to: string) => {
    const id = `${from}>${to}`;
    const known = arrows.get(id) ?? { id, from, to, transitions: [], carries: [] };
    arrows.set(id, known);
    return known;
  };

  const leaving = transitions.filter(leaves);
  for (const transition of transitions) {
    if (!leaves(transition)) {
      addLine(transition);
      continue;
    }
    const { from, to } = transition;
    const sharing = leaving.filter((other) => other.to === to && outermost(other) === outermost(transition));
    const besides = new Set(leaving.filter((other) => other.to === to).map(outermost));
    if (new Set(sharing.map((other) => other.from)).size > 1) {
      const shared = arrow(outermost(transition), to);
      if (from === shared.from) shared.transitions.push(transition);
      else {
        shared.carries.push(transition.key);
        addLine(transition);
      }
    } else if (besides.size > CROWD && order.indexOf(to) !== order.indexOf(from) + 1) addLine(transition);
    else arrow(from, to).transitions.push(transition);
  }
  return { root: boxOf(root, lines), arrows: [...arrows.values()] };
}

/** It ends the state that it starts from, and begins another. */
function leaves(transition: ChartTransition): transition is ChartTransition & { to: string } {
  const { from, to } = transition;
  return to !== undefined && !isWithin(to, from);
}

/** The outermost state that the transition leaves. */
function outermost({ from, to }: ChartTransition & { to: string }): string {
  let path = from;
  while (!isWithin(to, parentOf(path))) path = parentOf(path);
  return path;
}

function boxOf(state: ChartState, lines: Map<string, Line[]>): Box {
  const effects = state.effects.map((name) => ({ kind: 'effect' as const, name }));
  return {
    state,
    lines: [...effects, ...(lines.get(state.path) ?? [])],
    boxes: state.states.map((inner) => boxOf(inner, lines)),
  };
}
