import { AmphoraeError } from '../model/errors.ts';

export interface BatchOptions<Item> {
  /** How many batches may be on their way at once. */
  atOnce: number;
  /** The most items of a batch. */
  size: number;
  /** Items with the same key are on their way one after the other; absent: any may go together. */
  keyOf?(item: Item): unknown;
}

interface Waiting<Item, Result> {
  item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/**
 * Takes items on their way in batches: one that comes alone goes alone and at once; while all ways are taken, others
 * gather. So a batch is as large as there is need for it.
 */
export class Batches<Item, Result> {
  readonly #options: BatchOptions<Item>;
  readonly #send: (items: Item[]) => Promise<Result[]>;
  #waiting: Waiting<Item, Result>[] = [];
  readonly #keysOnTheWay = new Set<unknown>();
  #onTheWay = 0;

  /** @param send does the work for several items, all or nothing, with one result for each */
  constructor(options: BatchOptions<Item>, send: (items: Item[]) => Promise<Result[]>) {
    this.#options = options;
    this.#send = send;
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    const { atOnce, keyOf } = this.#options;
    if (this.#onTheWay >= atOnce) return;
    const batch = this.#take();
    if (batch.length === 0) return;
    this.#onTheWay += 1;
    this.#settle(batch).finally(() => {
      this.#onTheWay -= 1;
      if (keyOf) for (const { item } of batch) this.#keysOnTheWay.delete(keyOf(item));
      this.#next();
    });
  }

  /** The first of those that wait, by key. */
  #take(): Waiting<Item, Result>[] {
    const { size, keyOf } = this.#options;
    if (!keyOf) return this.#waiting.splice(0, size);
    const batch: Waiting<Item, Result>[] = [];
    this.#waiting = this.#waiting.filter((waiting) => {
      const key = keyOf(waiting.item);
      if (batch.length >= size || this.#keysOnTheWay.has(key)) return true;
      this.#keysOnTheWay.add(key);
      batch.push(waiting);
      return false;
    });
    return batch;
  }

  async #settle(batch: Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#send(batch.map(({ item }) => item));
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result);
    } catch (error) {
      // What passes would meet each of them. Anything else is the fault of one, from which the others must not suffer.
      const passes = error instanceof AmphoraeError && error.kind === 'transient';
      if (batch.length === 1 || passes) for (const { reject } of batch) reject(error);
      else for (const waiting of batch) await this.#settle([waiting]);
    }
  }
}
