import { TransientError } from '../../src/model/errors.ts';
import type { Random } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { VirtualTime } from './virtual-time.ts';

/** How a link behaves at the moment of a call. */
export interface Quality {
  delayMs: number;
  /** Probability that a call does not arrive. */
  refuses: number;
  /** Probability that it was done and the answer does not arrive. */
  answerLost: number;
  /** Probability that calls are held up on their way for up to so long; they keep their order. */
  heldUp?: { chance: number; ms: number };
}

/**
 * Calls from a process to something that outlives it. A call takes time each way; once sent, it arrives whatever becomes
 * of the process, and its answer reaches the process only if that still runs.
 */
export class Link {
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #process: SimulatedProcess;
  readonly #quality: () => Quality;
  #heldUntil = 0;

  constructor(time: VirtualTime, random: Random, process: SimulatedProcess, quality: () => Quality) {
    this.#time = time;
    this.#random = random;
    this.#process = process;
    this.#quality = quality;
  }

  /** @throws TransientError `unreachable`, or what the operation throws */
  call<T>(operation: () => T): Promise<Awaited<T>> {
    return new Promise((resolve, reject) => {
      const answer = (settle: () => void) => this.#time.after(this.#delay(), () => this.#process.run(settle));
      const unreachable = () => answer(() => reject(new TransientError('unreachable', 'no answer')));
      const { refuses, answerLost } = this.#quality();
      const lost = this.#random.chance(answerLost);
      if (this.#random.chance(refuses)) return void unreachable();
      this.#time.after(this.#wayThere(), () => {
        new Promise<Awaited<T>>((done) => done(operation() as Awaited<T>)).then(
          (value) => (lost ? unreachable() : answer(() => resolve(value))),
          (error) => answer(() => reject(error)),
        );
      });
    });
  }

  #wayThere(): number {
    const { now } = this.#time;
    const { heldUp } = this.#quality();
    if (heldUp && this.#random.chance(heldUp.chance)) {
      this.#heldUntil = Math.max(this.#heldUntil, now + this.#random.between(0, heldUp.ms));
    }
    return Math.max(this.#delay(), this.#heldUntil - now);
  }

  #delay(): number {
    return this.#random.between(0, this.#quality().delayMs);
  }
}
