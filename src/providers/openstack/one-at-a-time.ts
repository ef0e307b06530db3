/**
 * Work that must not be done twice at once, by name: whoever asks while it is under way gets its result. A service that
 * finds things by name would make two where two callers look before either has made one.
 */
export class OneAtATime<T> {
  readonly #underWay = new Map<string, Promise<T>>();

  run(name: string, work: () => Promise<T>): Promise<T> {
    const known = this.#underWay.get(name);
    if (known) return known;
    const begun = work().finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, begun);
    return begun;
  }
}
