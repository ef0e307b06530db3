import type { Clock } from '../../src/actors/clock.ts';
import type { Random } from './random.ts';
import type { VirtualTime } from './virtual-time.ts';

/**
 * A process as the operating system sees it: everything that happens in it comes through `run`, so that it can be
 * stopped and continued (SIGSTOP, SIGCONT) or killed between any two events. What it has sent is on its way regardless.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #time: VirtualTime;
  #state: 'running' | 'stopped' | 'dead' = 'running';
  #held: (() => void)[] = [];

  constructor(name: string, time: VirtualTime, random: Random) {
    this.name = name;
    this.#time = time;
    this.clock = {
      now: () => time.now,
      after: (delayMs, callback) => this.#after(delayMs, callback),
      random: () => random.next(),
    };
  }

  get state(): 'running' | 'stopped' | 'dead' {
    return this.#state;
  }

  /** Do it in this process: now, when it is continued, or never. */
  run(task: () => void): void {
    if (this.#state === 'running') task();
    else if (this.#state === 'stopped') this.#held.push(task);
  }

  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped';
  }

  continue(): void {
    if (this.#state !== 'stopped') return;
    this.#state = 'running';
    for (const task of this.#held.splice(0)) this.#time.after(0, () => this.run(task));
  }

  kill(): void {
    this.#state = 'dead';
    this.#held = [];
  }

  #after(delayMs: number, callback: () => void): () => void {
    let cancelled = false;
    const due = () => {
      if (!cancelled) callback();
    };
    const cancel = this.#time.after(delayMs, () => this.run(due));
    return () => {
      cancelled = true;
      cancel();
    };
  }
}
