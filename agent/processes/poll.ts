import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL_MS = 5;

/**
 * Ask every 5 ms until there is an answer, for what no event tells (another process's state).
 * @returns the first defined answer, or undefined when the deadline passed
 */
export async function poll<T>(deadlineMs: number, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined || performance.now() >= deadline) return answer;
    await sleep(INTERVAL_MS);
  }
}
