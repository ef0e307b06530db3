/** Rings at once, or when somebody comes to hear it; once, however often it was rung before. */
export class Alarm {
  #rung = Promise.withResolvers<void>();

  ring(): void {
    this.#rung.resolve();
  }

  /** Resolves with true when it rings, with false when it has not within `patienceMs`. */
  async rang(patienceMs: number): Promise<boolean> {
    const patience = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => patience.resolve(false), patienceMs);
    const rang = await Promise.race([this.#rung.promise.then(() => true), patience.promise]);
    clearTimeout(timer);
    if (rang) this.#rung = Promise.withResolvers();
    return rang;
  }
}
