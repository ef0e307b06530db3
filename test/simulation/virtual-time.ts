interface Entry {
  at: number;
  order: number;
  callback: () => void;
}

/**
 * Time that passes only from one event to the next. Between two events every promise that can settle does, so that the
 * order of everything follows from the events alone. Entries of the same instant run in the order in which they came.
 */
export class VirtualTime {
  now = 0;
  #order = 0;
  /** A binary heap, the next entry first. */
  readonly #heap: Entry[] = [];

  /** Call `callback` after `delayMs`; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void {
    const entry = { at: this.now + Math.max(delayMs, 0), order: this.#order++, callback };
    this.#push(entry);
    return () => {
      entry.callback = nothing;
    };
  }

  /** Let time pass until `done` says so. Resolves with false when `limitMs` has passed, or nothing is left to happen. */
  run(done: () => boolean, limitMs: number): Promise<boolean> {
    const end = this.now + limitMs;
    return new Promise((resolve, reject) => {
      const turn = () => {
        try {
          if (done()) return resolve(true);
          const entry = this.#heap[0];
          if (entry === undefined || entry.at > end) {
            this.now = end;
            return resolve(false);
          }
          this.#pop();
          this.now = entry.at;
          entry.callback();
        } catch (error) {
          return reject(error);
        }
        afterMicrotasks(turn);
      };
      afterMicrotasks(turn);
    });
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!earlier(entry, heap[parent] as Entry)) break;
      heap[index] = heap[parent] as Entry;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      if (!earlier(heap[child] as Entry, last)) break;
      heap[index] = heap[child] as Entry;
      index = child;
    }
    heap[index] = last;
  }
}

const nothing = () => {};

const earlier = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order);

/** Node.js takes the next tick only when no microtask is left; asked for in a microtask, it comes after all of them. */
function afterMicrotasks(callback: () => void): void {
  queueMicrotask(() => process.nextTick(callback));
}
