import type { Logger } from 'pino';

/**
 * When to tell the neighbours again, counted from the plug. The kernel tells them once, when the link comes up; a switch
 * port that has only just seen the link drops that one.
 */
const AGAIN_AFTER_MS = [100, 1_000, 3_000];

/** An interface counts as new for this long. */
const NEW_MS = 60_000;

/**
 * Makes neighbours forget who had an interface's addresses before (gratuitous ARP, unsolicited neighbour
 * advertisements). It costs us our own memory of the neighbours, so only new interfaces are announced.
 */
export class Announcer {
  readonly #announce: (name: string, mac: string) => Promise<void>;
  readonly #log: Logger;
  readonly #fresh = new Map<string, { mac: string; until: number }>();

  constructor(announce: (name: string, mac: string) => Promise<void>, log: Logger) {
    this.#announce = announce;
    this.#log = log;
  }

  /** An interface came up just now. */
  plugged(name: string, mac: string): void {
    this.#fresh.set(name, { mac, until: Date.now() + NEW_MS });
    for (const delay of AGAIN_AFTER_MS) setTimeout(() => this.#send(name, mac), delay).unref();
  }

  /** Announce again, now, what is new. Resolves when the kernel has sent it. */
  async repeat(): Promise<void> {
    const entries = [...this.#fresh].filter(([, { until }]) => Date.now() < until);
    await Promise.all(entries.map(([name, { mac }]) => this.#send(name, mac)));
  }

  async #send(name: string, mac: string): Promise<void> {
    try {
      await this.#announce(name, mac);
    } catch (error) {
      // The link went away meanwhile, or the driver does not take it: neighbours find out by themselves, later.
      this.#log.debug({ err: error, interface: name }, 'could not announce an interface');
    }
  }
}
