/** Time as the runtime sees it. The simulation brings its own. */
export interface Clock {
  /** Milliseconds that never go back; they go on while the process is paused. */
  now(): number;
  /** Call `callback` after `delayMs`; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void;
  /** A number in [0, 1) for jitter. */
  random(): number;
}

/** setTimeout takes at most 2^31-1 ms; longer delays are armed again when they come due. */
const LONGEST_TIMEOUT = 2_147_483_647;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), LONGEST_TIMEOUT));
    timer.unref();
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/** Resolves after `delayMs`, rejects with the signal's reason when it is aborted first. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
    const abort = () => {
      cancel();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
  });
}
