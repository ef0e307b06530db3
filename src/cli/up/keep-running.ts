import { setTimeout as pause } from 'node:timers/promises';
import { aborted } from '../termination.ts';
import type { Child } from './child.ts';

export interface Service {
  name: string;
  /** Start it; resolves when it is ready for others. */
  start(): Promise<Child>;
  /** End it in its own way. */
  stop(child: Child): Promise<void>;
}

/** The first restart comes at once for a person; a program that cannot run is not tried more than every 5 s. */
const SHORTEST_PAUSE_SECONDS = 0.2;
const LONGEST_PAUSE_SECONDS = 5;
/** Who lived this long was sound: its next end starts with the shortest pause again. */
const SOUND_AFTER_SECONDS = 30;

/**
 * Start a service and start it again whenever it ends. Rejects when the first start fails; later failures are told to
 * `say` and tried again. The returned function stops the service for good.
 */
export async function keepRunning(
  service: Service,
  say: (text: string) => void,
): Promise<() => Promise<void>> {
  let child = await service.start();
  const stopping = new AbortController();
  const stopRequested = aborted(stopping.signal);

  async function watch(): Promise<void> {
    let seconds = SHORTEST_PAUSE_SECONDS;
    let startedAt = Date.now();
    for (;;) {
      const end = await Promise.race([child.exited, stopRequested]);
      if (stopping.signal.aborted) return service.stop(child);
      if (Date.now() - startedAt > SOUND_AFTER_SECONDS * 1000) seconds = SHORTEST_PAUSE_SECONDS;
      say(`${service.name} ended with ${end}; starting it again in ${seconds} s`);
      await Promise.race([pause(seconds * 1000), stopRequested]);
      if (stopping.signal.aborted) return;
      seconds = Math.min(seconds * 2, LONGEST_PAUSE_SECONDS);
      startedAt = Date.now();
      try {
        child = await service.start();
      } catch (error) {
        say((error as Error).message);
      }
    }
  }

  const watching = watch();
  return () => {
    stopping.abort();
    return watching;
  };
}
