import type { Clock } from './clock.ts';
import type { ActorId, StoredTimer } from './store.ts';

/** Timers of the near future, held in memory so that they fire on time; the rows remain the truth. */
export class Timers {
  readonly #clock: Clock;
  readonly #fire: (timer: StoredTimer) => void;
  readonly #scheduled = new Map<string, { armedVersion: number; cancel: () => void }>();

  constructor(clock: Clock, fire: (timer: StoredTimer) => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  /** Fire when due. Scheduling the same timer again changes nothing; a newer arming replaces the older. */
  schedule(timer: StoredTimer): void {
    const key = timerKey(timer, timer.name);
    const known = this.#scheduled.get(key);
    if (known && known.armedVersion >= timer.armedVersion) return;
    known?.cancel();
    const cancel = this.#clock.after(timer.dueInMs, () => {
      this.#scheduled.delete(key);
      this.#fire(timer);
    });
    this.#scheduled.set(key, { armedVersion: timer.armedVersion, cancel });
  }

  cancel(actor: ActorId, name: string): void {
    const key = timerKey(actor, name);
    this.#scheduled.get(key)?.cancel();
    this.#scheduled.delete(key);
  }

  clear(): void {
    for (const { cancel } of this.#scheduled.values()) cancel();
    this.#scheduled.clear();
  }
}

function timerKey({ kind, id }: ActorId, name: string): string {
  return `${kind}/${id}/${name}`;
}
