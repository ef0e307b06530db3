import type { Logger } from 'pino';
import type { Envelope } from '../actors/bus.ts';
import type { Clock } from '../actors/clock.ts';
import { type AmphoraInService, type Replacement, replaceAll, replaceSome } from '../model/replacement.ts';
import type { Topology } from '../model/status.ts';
import { type Census, type FailoverLimits, judge, type LimiterState } from './judgement.ts';

/** A load balancer with stale amphorae that would take a failover now. */
export interface Candidate {
  loadBalancerId: string;
  topology: Topology;
  status: 'ACTIVE' | 'ERROR';
  amphorae: (AmphoraInService & { stale: boolean })[];
}

/** One look at what is stale: all that it does becomes true at once, or nothing. */
export interface Round {
  census(windowMs: number): Promise<Census>;
  turn(state: LimiterState, reason: string): Promise<void>;
  /** Have stale amphorae show that they are not failed over, a number of them that do not yet. */
  holdBack(): Promise<Envelope[]>;
  /** Those that have waited longest, but none whose last automatic failover began within the window. */
  waiting(limit: number, windowMs: number): Promise<Candidate[]>;
  /** Admit one: lock it against other changes, count it, and tell its actor. */
  begin(loadBalancerId: string, replacements: Replacement[]): Promise<Envelope>;
}

/** Where the truth about automatic failovers is. */
export interface FailoverQueue {
  /** Resolves with undefined when nothing is stale, or another process is having a round. */
  round<T>(work: (round: Round) => Promise<T>): Promise<T | undefined>;
}

/** What load balancers are told in a round. */
interface Outcome {
  begun: Envelope[];
  heldBack: Envelope[];
}
const NOTHING: Outcome = { begun: [], heldBack: [] };

export interface LimiterParts {
  queue: FailoverQueue;
  clock: Clock;
  log: Logger;
  newId: () => string;
  publish: (envelopes: Envelope[]) => void;
}

/**
 * Lets the failovers begin that nobody asked for: a few at a time in the whole cloud, and none while so much is stale that
 * the heartbeats must have failed. Which amphorae are stale, what is in progress and whether it is stopped are rows, so
 * that nothing is forgotten and it does not matter which process looks, or dies; what finds no room is found by a later look.
 */
export class FailoverLimiter {
  readonly #parts: LimiterParts;
  readonly #limits: FailoverLimits;
  readonly #lookMs: number;
  #cancel = () => {};
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: LimiterParts, limits: FailoverLimits, lookMs: number) {
    this.#parts = parts;
    this.#limits = limits;
    this.#lookMs = lookMs;
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#looking;
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#cancel = this.#parts.clock.after(this.#lookMs, () => {
      this.#looking = this.#look()
        .catch((error) => this.#parts.log.warn({ err: error }, 'stale amphorae could not be looked at'))
        .finally(() => this.#schedule());
    });
  }

  async #look(): Promise<void> {
    const { queue, publish, log } = this.#parts;
    const { begun, heldBack } = (await queue.round((round) => this.#admit(round))) ?? NOTHING;
    publish([...begun, ...heldBack]);
    if (begun.length === 0) return;
    log.warn({ loadbalancer_ids: begun.map(({ actorId }) => actorId) }, 'stale amphorae are failed over');
  }

  async #admit(round: Round): Promise<Outcome> {
    const { windowMs } = this.#limits;
    const census = await round.census(windowMs);
    const { state, reason, room } = judge(census, this.#limits);
    if (state !== census.state) {
      await round.turn(state, reason);
      this.#parts.log.error(
        { state, reason },
        'automatic failovers: `amphorae failovers` shows and resumes them',
      );
    }
    const candidates = room > 0 ? await round.waiting(room, windowMs) : [];
    const begun: Envelope[] = [];
    for (const candidate of candidates) {
      begun.push(await round.begin(candidate.loadBalancerId, this.#replacements(candidate)));
    }
    return { begun, heldBack: state === 'stopped' ? await round.holdBack() : [] };
  }

  /** In ERROR, amphorae may be missing or left over besides: all of it is made anew. */
  #replacements({ status, topology, amphorae }: Candidate): Replacement[] {
    const { newId } = this.#parts;
    if (status === 'ERROR') return replaceAll(topology, amphorae, newId);
    return replaceSome(
      topology,
      amphorae.filter(({ stale }) => stale),
      newId,
    );
  }
}
