/** Lets `size` tasks run at once; the others wait in line. */
export class Slots {
  #size: number;
  #used = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  /** Let more or fewer run from now on; what runs already is not stopped. */
  resize(size: number): void {
    this.#size = size;
    this.#admit();
  }

  /** @throws the signal's reason when it is aborted before the task's turn */
  async use<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#used < this.#size) this.#used++;
    else await this.#turn(signal);
    try {
      return await task();
    } finally {
      this.#used--;
      this.#admit();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal?.reason);
      };
      const enter = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }

  #admit(): void {
    while (this.#used < this.#size) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#used++;
      next();
    }
  }
}
