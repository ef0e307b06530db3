import { setTimeout as pause } from 'node:timers/promises';
import { TransientError } from '../../model/errors.ts';

/**
 * Ask a program outside until it answers, for things that can only be asked. Resolves with the first answer that is
 * not undefined; a throwing probe counts as no answer yet.
 * @throws TransientError `not_ready` after `seconds`, with the last failure as its cause.
 */
export async function waitFor<T>(
  what: string,
  seconds: number,
  probe: () => Promise<T | undefined> | T | undefined,
  signal?: AbortSignal,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (let wait = 10; ; wait = Math.min(wait * 1.5, 250)) {
    let cause: unknown;
    try {
      const answer = await probe();
      if (answer !== undefined) return answer;
    } catch (error) {
      cause = error;
    }
    if (Date.now() + wait > deadline) {
      const reason = cause instanceof Error ? `: ${cause.message}` : '';
      throw new TransientError('not_ready', `waited ${seconds} s for ${what} in vain${reason}`, { cause });
    }
    await pause(wait, undefined, { signal });
  }
}
