import type { ActorEvent } from '../actors/interpreter.ts';
import type { ActorKind } from '../machines/address.ts';
import type { Charts } from './charts.ts';
import { type ReplayedActor, type ReplayedStep, replay } from './replay.ts';
import { transitionsTaken } from './taken.ts';

/** A row of an actor's history, as it is stored. */
export interface HistoryRow {
  version: number;
  at: Date;
  node: string;
  event: ActorEvent;
  from_state: string;
  to_state: string;
  actions: Action[];
  handled: boolean;
}

/** Something that a transition did, in the words of the history. */
export interface Action {
  started?: string;
  stopped?: string;
  armed?: string;
  delayMs?: number;
  sent?: string;
  to?: string;
  rows?: string;
}

/** One event of an actor's life, with all that is known of it. */
export interface HistoryEntry extends ReplayedStep {
  at: Date;
  node: string;
  event: ActorEvent;
  handled: boolean;
  actions: Action[];
  /** Since the event before, in milliseconds; absent for the first that is kept. */
  sinceMs?: number;
  /** How long the effect ran whose result the event is, in milliseconds. */
  tookMs?: number;
  /** Keys of the transitions that it took in the chart. */
  transitions: string[];
}

export interface History {
  /** The oldest first. */
  entries: HistoryEntry[];
  /** Why the machine could not be asked about all of them; undefined when it could. */
  problem: string | undefined;
}

const result = /^xstate\.(?:done|error)\.actor\.(.+)$/;

/** An actor's history, replayed. */
export async function historyOf(
  charts: Charts,
  kind: ActorKind,
  actor: ReplayedActor,
  rows: HistoryRow[],
): Promise<History> {
  const chart = charts.chart(kind);
  const recorded = rows.map((row) => ({ ...row, from: row.from_state, to: row.to_state }));
  const { steps, problem } = await replay(charts.machine(kind), actor, recorded);
  const started = new Map<string, Date>();
  const entries = rows.map(({ version, at, node, event, from_state, to_state, actions, handled }, index) => {
    const before = rows[index - 1];
    const begun = started.get(result.exec(event.type)?.[1] ?? '');
    for (const action of actions) if (action.started !== undefined) started.set(action.started, at);
    return {
      ...(steps[index] ?? { version, from: from_state, to: to_state }),
      ...{ at, node, event, handled, actions },
      ...(before && { sinceMs: at.getTime() - before.at.getTime() }),
      ...(begun && { tookMs: at.getTime() - begun.getTime() }),
      transitions: transitionsTaken(chart, { event: event.type, from: from_state, to: to_state }),
    };
  });
  return { entries, problem };
}
