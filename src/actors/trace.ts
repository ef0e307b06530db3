import * as z from 'zod';
import { ACTOR_KINDS } from '../machines/address.ts';
import type { ErrorRecord } from '../model/errors.ts';
import type { ActorEvent, Outcome } from './interpreter.ts';
import type { ActorId, ActorRow } from './store.ts';

const Failure: z.ZodType<ErrorRecord> = z.object({
  kind: z.enum(['placement', 'transient', 'terminal']),
  code: z.string(),
  message: z.string(),
});

/** Kind of an actor, as it comes from outside. */
export const ActorKindName = z.enum(ACTOR_KINDS);

const OfActor = z.object({
  kind: ActorKindName,
  id: z.uuid(),
  loadbalancer_id: z.uuid(),
  version: z.int().min(0),
});

/** What a node says about its actors; who says it, and when, is added on the way. */
export const TraceBody = z.discriminatedUnion('type', [
  /** An event was committed; `version` is the actor's after it. */
  OfActor.extend({
    type: z.literal('transition'),
    event: z.string(),
    from: z.string(),
    to: z.string(),
    handled: z.boolean(),
    started: z.array(z.string()),
    stopped: z.array(z.string()),
  }),
  /** An attempt of an effect begins, because the one before has failed with this error. */
  OfActor.extend({
    type: z.literal('attempt'),
    effect: z.string(),
    attempt: z.int().positive(),
    error: Failure,
  }),
  OfActor.extend({ type: z.literal('quarantine'), reason: z.string() }),
  /** Traces may be missing: the node has taken partitions over, or was cut off from the broker. Read the rows again. */
  z.object({ type: z.literal('gap') }),
]);
export type TraceBody = z.infer<typeof TraceBody>;

/**
 * One step of an actor as it is published, for people who watch: at most once, best effort, after the commit. The rows
 * are the truth; a trace says that there is something new to read.
 */
export const Trace = z.intersection(
  TraceBody,
  z.object({
    /** Time of the process that published it. */
    at: z.iso.datetime(),
    node: z.string(),
  }),
);
export type Trace = z.infer<typeof Trace>;

export const ALL_TRACES = 'amphorae.trace.>';

/** `amphorae.trace.<kind>.<id>`, and `amphorae.trace.gap`. */
export function traceSubject(trace: TraceBody): string {
  return trace.type === 'gap' ? 'amphorae.trace.gap' : `amphorae.trace.${trace.kind}.${trace.id}`;
}

/** How far a running effect has come; known to nobody but the node that runs it. */
export const EffectProgress = z.object({
  /** 0: it waits for its turn. */
  attempt: z.int().min(0),
  /** How many there are at most; null where only the time is limited. */
  attempts: z.int().positive().nullable(),
  /** Until all attempts are given up. */
  left_ms: z.number(),
  /** Of the attempt before. */
  error: Failure.nullable(),
});
export type EffectProgress = z.infer<typeof EffectProgress>;

/** Progress of the effects of one actor, by their ids. */
export const EffectsProgress = z.record(z.string(), EffectProgress);
export type EffectsProgress = z.infer<typeof EffectsProgress>;

/** Where a node says what its actors do. */
export interface Tracer {
  /** Never throws, and waits for nobody. */
  publish(trace: TraceBody): void;
  /** Answer those who ask how far an actor's effects have come; undefined for actors of other nodes. */
  answer(progress: (actor: ActorId, partition: number) => EffectsProgress | undefined): void;
}

/** What every trace of an actor says. */
export function ofActor({ kind, id, version, input }: ActorRow) {
  const { loadBalancerId } = input as { loadBalancerId: string };
  return { kind, id, loadbalancer_id: loadBalancerId, version };
}

export function transitionTrace(actor: ActorRow, event: ActorEvent, outcome: Outcome): TraceBody {
  return {
    type: 'transition',
    ...ofActor(actor),
    event: event.type,
    from: outcome.previousState,
    to: outcome.state,
    handled: outcome.handled,
    started: outcome.startedEffects,
    stopped: outcome.stoppedEffects,
  };
}
