/** - `admitting`: automatic failovers begin, a few at a time.
 * - `stopped`: none begins. The limiter stopped by itself, because too much is stale at once, or an operator stopped it.
 * - `overridden`: an operator has seen that much is stale, and lets failovers begin all the same.
 */
export type LimiterState = 'admitting' | 'stopped' | 'overridden';

/** How many automatic failovers there may be. Those that somebody asks for are not counted. */
export interface FailoverLimits {
  /** In progress at once, in the whole cloud. */
  concurrency: number;
  /** Begun within `windowMs`. */
  windowLimit: number;
  windowMs: number;
  /** None begins while more of all amphorae than this are stale, and more than `stopMinimum`. */
  stopPercent: number;
  stopMinimum: number;
}

/** What a round finds, as of one instant. */
export interface Census {
  state: LimiterState;
  /** Who brought it into that state was an operator. */
  byOperator: boolean;
  /** Amphorae in service, and how many of them are not heard of. */
  amphorae: number;
  stale: number;
  /** Automatic failovers in progress, and begun within the window. */
  running: number;
  recent: number;
}

export interface Judgement {
  state: LimiterState;
  /** Why it is in that state; empty unless it is stopped. */
  reason: string;
  /** How many failovers may begin now. */
  room: number;
}

/**
 * Whether automatic failovers may begin, and how many. Heartbeats that stop everywhere at once are an outage of the
 * heartbeats: replacing what works would make an outage of the load balancers of it.
 */
export function judge(census: Census, limits: FailoverLimits): Judgement {
  const { state, byOperator, amphorae, stale, running, recent } = census;
  const above = (percent: number) => stale > limits.stopMinimum && stale * 100 > amphorae * percent;
  const room = Math.max(0, Math.min(limits.concurrency - running, limits.windowLimit - recent));
  if (state === 'stopped') {
    // Half of the limit, so that it does not swing around it. What an operator stopped, an operator lets go on.
    const goesOn = !byOperator && !above(limits.stopPercent / 2);
    return goesOn ? { state: 'admitting', reason: '', room } : { state, reason: '', room: 0 };
  }
  if (!above(limits.stopPercent)) return { state: 'admitting', reason: '', room };
  if (state === 'overridden') return { state, reason: '', room };
  const reason = `${stale} of ${amphorae} amphorae are stale, more than ${limits.stopPercent} %: heartbeats rather than amphorae have failed`;
  return { state: 'stopped', reason, room: 0 };
}
