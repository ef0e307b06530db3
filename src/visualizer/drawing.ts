import { type ChartState, type ChartTransition, isWithin, parentOf, type Statechart } from './statechart.ts';
import { type Row, rowsOf } from './text.ts';

/**
 * What of a chart becomes a box, text in a box, or an arrow. Arrows tell the story; what leads nowhere, or from nearly
 * everywhere to the same place, is written in the box that it starts from, because so many arrows say nothing any more.
 */
export interface Drawing {
  root: Box;
  arrows: Arrow[];
}

export interface Box {
  state: ChartState;
  captions: Caption[];
  boxes: Box[];
}

/** What is written in a box or on an arrow: an effect, or a transition with its key. */
export interface Caption {
  key: string | undefined;
  cause: ChartTransition['cause'] | 'effect';
  rows: Row[];
}

export interface Arrow {
  id: string;
  from: string;
  to: string;
  captions: Caption[];
  /** Keys of the transitions of states inside that share the arrow, and are captions there. */
  carries: string[];
}

/** In characters: how long a row of text may be in a box, and on an arrow. */
const BOX_ROW = 36;
const ARROW_ROW = 24;

/** More arrows than these to one state, all from beside it, are not drawn. */
const CROWD = 4;

/** Decide how a chart is drawn. Pure. */
export function drawingOf({ root, states, transitions }: Statechart): Drawing {
  const arrows = new Map<string, Arrow>();
  const captions = new Map<string, Caption[]>();
  const order = [...states.keys()];
  const inBox = (transition: ChartTransition) => {
    const { from, label } = transition;
    const caption = captionOf(transition, `${label}${destination(transition)}`, BOX_ROW);
    captions.set(from, [...(captions.get(from) ?? []), caption]);
  };
  const arrow = (from: string, to: string) => {
    const id = `${from}>${to}`;
    const known = arrows.get(id) ?? { id, from, to, captions: [], carries: [] };
    arrows.set(id, known);
    return known;
  };
  const onArrow = (known: Arrow, transition: ChartTransition) => {
    known.captions.push(captionOf(transition, transition.label, ARROW_ROW));
  };

  const leaving = transitions.filter(leaves);
  for (const transition of transitions) {
    if (!leaves(transition)) {
      inBox(transition);
      continue;
    }
    const { from, to } = transition;
    const sharing = leaving.filter((other) => other.to === to && outermost(other) === outermost(transition));
    const besides = new Set(leaving.filter((other) => other.to === to).map(outermost));
    if (new Set(sharing.map((other) => other.from)).size > 1) {
      const shared = arrow(outermost(transition), to);
      if (from === shared.from) onArrow(shared, transition);
      else {
        shared.carries.push(transition.key);
        inBox(transition);
      }
    } else if (besides.size > CROWD && order.indexOf(to) !== order.indexOf(from) + 1) inBox(transition);
    else onArrow(arrow(from, to), transition);
  }
  return { root: boxOf(root, captions), arrows: [...arrows.values()] };
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

/** Where a transition that has no arrow leads to. */
function destination({ from, to }: ChartTransition): string {
  if (to === undefined) return '';
  return to === from ? ' ↻' : ` → ${to.slice(to.lastIndexOf('.') + 1)}`;
}

function captionOf({ key, cause, condition }: ChartTransition, text: string, limit: number): Caption {
  return { key, cause, rows: rowsOf(text, condition, limit) };
}

function boxOf(state: ChartState, captions: Map<string, Caption[]>): Box {
  const effects = state.effects.map(
    (name): Caption => ({ key: undefined, cause: 'effect', rows: rowsOf(`⚙ ${name}`, '', BOX_ROW) }),
  );
  return {
    state,
    captions: [...effects, ...(captions.get(state.path) ?? [])],
    boxes: state.states.map((inner) => boxOf(inner, captions)),
  };
}
