/** Reads that are answered again from memory for a short time; what was not found is asked for each time. */
export class Recent<T> {
  readonly #lifeMs: number;
  readonly #known = new Map<string, { value: Promise<T | undefined>; until: number }>();

  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs;
  }

  /** Callers that ask for the same at once share one read. */
  get(key: string, read: () => Promise<T | undefined>): Promise<T | undefined> {
    const now = Date.now();
    const known = this.#known.get(key);
    if (known && known.until > now) return known.value;
    for (const [old, { until }] of this.#known) if (until <= now) this.#known.delete(old);
    const value = read();
    this.#known.set(key, { value, until: now + this.#lifeMs });
    const forget = () => {
      if (this.#known.get(key)?.value === value) this.#known.delete(key);
    };
    value.then((found) => found === undefined && forget(), forget);
    return value;
  }
}
