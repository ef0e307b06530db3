import type { Effect, Effects } from '../machines/effects.ts';
import type { RetryPolicy } from '../model/effect.ts';
import {
  type AmphoraeError,
  DATABASE_UNAVAILABLE,
  type ErrorRecord,
  TransientError,
  toErrorRecord,
} from '../model/errors.ts';
import { type Clock, pause } from './clock.ts';
import type { RunningEffect } from './interpreter.ts';
import { Slots } from './slots.ts';
import type { ActorId } from './store.ts';
import type { EffectProgress, EffectsProgress } from './trace.ts';

export type EffectResult = { output: unknown } | { error: ErrorRecord };

/** Work that goes on for so long after it was cancelled is not waited for: others need its slot. */
const DEAF_AFTER_MS = 5_000;

interface Run {
  effectId: string;
  token: number;
  partition: number;
  abort: AbortController;
  settled: Promise<void>;
  attempts: Attempts;
}

/** Where a run is in its attempts. */
interface Attempts {
  /** 0: it waits for its turn. */
  current: number;
  /** When all of them are given up, by the clock; set when the first begins. */
  givenUpAt: number;
  readonly policy: RetryPolicy;
  lastError: ErrorRecord | undefined;
  /** Called when one begins after another has failed. */
  again(attempt: number, error: ErrorRecord): void;
}

/**
 * Runs the effects that charts start. Effects of one actor never overlap: a new one waits until the one that it replaces
 * has really stopped, so that releasing an amphora cannot overtake making it.
 */
export class EffectRunner {
  readonly #effects: Effects;
  readonly #clock: Clock;
  readonly #slots: Slots;
  readonly #providerSlots: Slots;
  /** By actor: there may be thousands, of which each has few. */
  readonly #runs = new Map<string, Set<Run>>();
  readonly #lastOfActor = new Map<string, Promise<void>>();

  /** @param concurrency how many effects run at once, and how many of them may call a provider. */
  constructor(effects: Effects, clock: Clock, concurrency: { node: number; provider: number }) {
    this.#effects = effects;
    this.#clock = clock;
    this.#slots = new Slots(concurrency.node);
    this.#providerSlots = new Slots(concurrency.provider);
  }

  /**
   * Start an effect, unless it runs already; one that was stopped and has not ended yet is run again after that. `done` is
   * called once, with its result, if nobody stopped it before; `again` with each attempt that follows a failed one.
   */
  start(
    actor: ActorId & { partition: number },
    effectId: string,
    { src, input, token }: RunningEffect,
    epoch: number,
    done: (result: EffectResult) => void,
    again: Attempts['again'] = () => {},
  ): void {
    const started = this.#runsOf(actor).some((run) => run.effectId === effectId && run.token === token);
    if (started) return;
    const abort = new AbortController();
    const { retry: policy } = this.#effects[src];
    const attempts: Attempts = { current: 0, givenUpAt: Number.NaN, policy, lastError: undefined, again };
    const previous = this.#lastOfActor.get(actor.id) ?? Promise.resolve();
    const settled = previous
      .then(() =>
        this.#attempt(
          this.#effects[src],
          src,
          input,
          attempts,
          abort.signal,
          epoch,
          `${actor.kind}/${actor.id}/${token}`,
        ),
      )
      .then((result) => {
        this.#forget(actor, run);
        if (!abort.signal.aborted) done(result);
      });
    const run: Run = { effectId, token, partition: actor.partition, abort, settled, attempts };
    this.#note(actor, run);
    this.#lastOfActor.set(actor.id, settled);
    settled.then(() => {
      if (this.#lastOfActor.get(actor.id) === settled) this.#lastOfActor.delete(actor.id);
    });
  }

  /** How many effects run here, or wait for their turn. */
  get running(): number {
    return [...this.#runs.values()].reduce((total, { size }) => total + size, 0);
  }

  /** How far the effects of an actor have come that run here. */
  progress(actor: ActorId): EffectsProgress {
    return Object.fromEntries(
      this.#runsOf(actor).map(({ effectId, attempts }) => [effectId, this.#progressOf(attempts)]),
    );
  }

  #progressOf({ current, givenUpAt, policy, lastError }: Attempts): EffectProgress {
    return {
      attempt: current,
      attempts: Number.isFinite(policy.attempts) ? policy.attempts : null,
      left_ms: current === 0 ? policy.deadlineMs : givenUpAt - this.#clock.now(),
      error: lastError ?? null,
    };
  }

  /** How many effects may call a provider at once from now on. */
  limitProviderCalls(concurrency: number): void {
    this.#providerSlots.resize(concurrency);
  }

  /** Cancel an effect, whatever started it. */
  stop(actor: ActorId, effectId: string): void {
    for (const run of this.#runsOf(actor)) if (run.effectId === effectId) run.abort.abort(stopped());
  }

  /** Cancel everything that runs for an actor; resolves when it has stopped. */
  stopActor(actor: ActorId): Promise<void> {
    return this.#stop([...(this.#runs.get(keyOf(actor)) ?? [])]);
  }

  /** Cancel everything that runs for the actors of a partition; resolves when it has stopped. */
  stopPartition(partition: number): Promise<void> {
    const all = [...this.#runs.values()].flatMap((runs) => [...runs]);
    return this.#stop(all.filter((run) => run.partition === partition));
  }

  /** What runs for an actor, without what was stopped and has not ended yet. */
  #runsOf(actor: ActorId): Run[] {
    return [...(this.#runs.get(keyOf(actor)) ?? [])].filter(({ abort }) => !abort.signal.aborted);
  }

  #note(actor: ActorId, run: Run): void {
    const runs = this.#runs.get(keyOf(actor)) ?? new Set();
    this.#runs.set(keyOf(actor), runs.add(run));
  }

  #forget(actor: ActorId, run: Run): void {
    const runs = this.#runs.get(keyOf(actor));
    runs?.delete(run);
    if (runs?.size === 0) this.#runs.delete(keyOf(actor));
  }

  async #stop(runs: Run[]): Promise<void> {
    for (const { abort } of runs) abort.abort(stopped());
    await Promise.all(runs.map(({ settled }) => settled));
  }

  async #attempt(
    effect: Effect,
    name: string,
    input: object,
    progress: Attempts,
    stop: AbortSignal,
    epoch: number,
    requestId: string,
  ): Promise<EffectResult> {
    const { attempts, deadlineMs, backoffMs, maxBackoffMs } = effect.retry;
    progress.givenUpAt = this.#clock.now() + deadlineMs;
    const deadline = new AbortController();
    const cancelDeadline = this.#clock.after(deadlineMs, () =>
      deadline.abort(
        new TransientError('deadline_exceeded', `${name} was not done within ${deadlineMs / 1000} s`),
      ),
    );
    const signal = AbortSignal.any([stop, deadline.signal]);
    try {
      for (let attempt = 1; ; attempt++) {
        progress.current = attempt;
        if (progress.lastError) progress.again(attempt, progress.lastError);
        try {
          const run = () => effect.run(input as never, { signal, epoch, requestId });
          const output = await this.#inSlots(effect, run, signal);
          return { output: output ?? null };
        } catch (error) {
          const record = signal.aborted ? undefined : toErrorRecord(error);
          if (record) progress.lastError = record;
          // While the store is away nobody could take the result either: that is not the effect's failure.
          const left = attempt < attempts || record?.code === DATABASE_UNAVAILABLE;
          if (record?.kind !== 'transient' || !left) throw error;
        }
        const ceiling = Math.min(backoffMs * 2 ** (attempt - 1), maxBackoffMs);
        await pause(this.#clock, ceiling * (0.5 + this.#clock.random() / 2), signal);
      }
    } catch (error) {
      return { error: describe(error, signal, progress.lastError) };
    } finally {
      cancelDeadline();
    }
  }

  /** Run work when there is a slot for it, and give the slot back when it ends, or does not hear that it is cancelled. */
  async #inSlots(
    { callsProvider }: Effect,
    run: () => Promise<unknown>,
    signal: AbortSignal,
  ): Promise<unknown> {
    let work: Promise<unknown> | undefined;
    const inNodeSlot = () =>
      this.#slots.use(() => {
        signal.throwIfAborted();
        work = run();
        return this.#endOrDeafness(work, signal);
      }, signal);
    await (callsProvider ? this.#providerSlots.use(inNodeSlot, signal) : inNodeSlot());
    return work;
  }

  #endOrDeafness(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let cancel = () => {};
      const wait = () => {
        cancel = this.#clock.after(DEAF_AFTER_MS, resolve);
      };
      const ended = () => {
        signal.removeEventListener('abort', wait);
        cancel();
        resolve();
      };
      signal.addEventListener('abort', wait, { once: true });
      work.then(ended, ended);
    });
  }
}

/** When time ran out, the last real failure is what an operator needs to see. */
function describe(error: unknown, signal: AbortSignal, lastError: ErrorRecord | undefined): ErrorRecord {
  if (!signal.aborted) return toErrorRecord(error);
  const reason = toErrorRecord(signal.reason);
  return lastError ? { ...lastError, message: `${reason.message}; last: ${lastError.message}` } : reason;
}

function stopped(): AmphoraeError {
  return new TransientError('stopped', 'the effect was stopped');
}

function keyOf({ kind, id }: ActorId): string {
  return `${kind}/${id}`;
}
