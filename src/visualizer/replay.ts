import { setImmediate } from 'node:timers/promises';
import type { AnyStateMachine } from 'xstate';
import { type ActorEvent, type ActorState, interpret, rerun } from '../actors/interpreter.ts';
import { RESUME } from '../actors/mailbox.ts';
import { type Difference, differences } from './difference.ts';

/** An event as the history of an actor has it. */
export interface RecordedEvent {
  /** Version of the actor that the event led to. */
  version: number;
  event: ActorEvent;
  from: string;
  to: string;
}

/** One step of a replay. `context` and `differences` are absent where the machine could not be asked. */
export interface ReplayedStep {
  version: number;
  from: string;
  to: string;
  /** What the actor remembered after the event, and what of it the event changed. */
  context?: object;
  differences?: Difference[];
}

export interface Replay {
  steps: ReplayedStep[];
  /** Why some steps are only what was recorded, for a person; undefined when the machine did everything again. */
  problem: string | undefined;
}

/** What an actor was born with, and what it is now. */
export interface ReplayedActor {
  input: object;
  version: number;
  snapshot: object | null;
}

/** So many events are replayed without a pause: some milliseconds, in which the process does nothing else. */
const AT_ONCE = 25;

/**
 * Take an actor through its recorded events again, with the same pure machine. Where machine and history disagree, the
 * history is right: from there on the steps are what was recorded.
 * @param recorded the oldest first, without gaps
 */
export async function replay(
  machine: AnyStateMachine,
  actor: ReplayedActor,
  recorded: RecordedEvent[],
): Promise<Replay> {
  const steps: ReplayedStep[] = recorded.map(({ version, from, to }) => ({ version, from, to }));
  const [first] = recorded;
  if (first === undefined) return { steps, problem: undefined };
  if (first.version !== 1) {
    return {
      steps,
      problem: `The events before version ${first.version} are no longer kept, or there are too many to replay; without them the machine cannot be asked.`,
    };
  }
  let state: ActorState = { snapshot: null, input: actor.input, version: 0, effects: {} };
  for (const [index, { version, event, from, to }] of recorded.entries()) {
    if (index % AT_ONCE === AT_ONCE - 1) await setImmediate();
    const step = steps[index];
    const next = taken(machine, state, event);
    if ('problem' in next) return { steps, problem: `At version ${version}: ${next.problem}` };
    if (step === undefined || next.previousState !== from || next.state !== to) {
      return {
        steps,
        problem: `At version ${version} today's machine goes from ${next.previousState || 'nothing'} to ${next.state}, and the actor went to ${to}: another version of the machine was at work.`,
      };
    }
    step.differences = differences(contextOf(state.snapshot), contextOf(next.snapshot));
    step.context = contextOf(next.snapshot);
    state = { ...state, version, snapshot: next.snapshot, effects: next.effects };
  }
  return { steps, problem: divergence(actor, state) };
}

type Taken = Pick<ReturnType<typeof interpret>, 'snapshot' | 'state' | 'previousState' | 'effects'>;

function taken(machine: AnyStateMachine, state: ActorState, event: ActorEvent): Taken | { problem: string } {
  try {
    return event.type === RESUME.type && state.snapshot !== null
      ? rerun(machine, { ...state, snapshot: state.snapshot })
      : interpret(machine, state, event);
  } catch (error) {
    return { problem: `today's machine cannot take ${event.type}: ${String(error)}` };
  }
}

/** The states may be the same, and what the actor remembers not. */
function divergence(actor: ReplayedActor, { version, snapshot }: ActorState): string | undefined {
  if (actor.version !== version || actor.snapshot === null) return undefined;
  const [difference] = differences(plain(contextOf(actor.snapshot)), plain(contextOf(snapshot)));
  return difference
    ? `Replayed to the end, ${difference.path} is not what the actor has: another version of the machine was at work. What earlier steps show as context may differ, too.`
    : undefined;
}

function contextOf(snapshot: object | null): object {
  return (snapshot as { context?: object } | null)?.context ?? {};
}

/** As it comes back from where it is stored. */
function plain(context: object): unknown {
  return JSON.parse(JSON.stringify(context));
}
