import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

interface HealthParts {
  /** Read by keepalived whenever it is written: 0 while this amphora can serve. */
  path: string;
  serves(): Promise<boolean>;
  log: Logger;
}

const INTERVAL_MS = 500;
/** haproxy is started again at once when it dies; only one that stays away is worth moving the VIP (contract E5). */
const FALL = 2;

/** Tells keepalived whether this amphora can serve its VIPs, so that they move to the other one when it cannot. */
export class Health {
  readonly #parts: HealthParts;
  readonly #stopped = new AbortController();
  #failures = 0;
  #told: boolean | undefined;

  constructor(parts: HealthParts) {
    this.#parts = parts;
  }

  get healthy(): boolean {
    return this.#failures < FALL;
  }

  /** Look once, and again and again until `stop`. */
  async start(): Promise<void> {
    await mkdir(dirname(this.#parts.path), { recursive: true, mode: 0o755 });
    await this.#look();
    void this.#repeat();
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #repeat(): Promise<void> {
    const { signal } = this.#stopped;
    while (await sleep(INTERVAL_MS, true, { ref: false, signal }).catch(() => false)) await this.#look();
  }

  async #look(): Promise<void> {
    const { path, serves, log } = this.#parts;
    try {
      this.#failures = (await serves()) ? 0 : this.#failures + 1;
      const { healthy } = this;
      if (healthy === this.#told) return;
      if (this.#told !== undefined) log.warn({ healthy }, 'whether this amphora can serve has changed');
      await writeFile(path, healthy ? '0' : '1', { mode: 0o644 });
      this.#told = healthy;
    } catch (err) {
      log.error({ err, path }, 'could not tell keepalived whether this amphora can serve');
    }
  }
}
