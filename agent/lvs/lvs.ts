import { readdir } from 'node:fs/promises';
import * as z from 'zod';
import type { Report } from '../heartbeat/haproxy-report.ts';
import { writeCheckScripts } from './check-scripts.ts';
import { LvsInstance, type LvsParts, lvsDirectory } from './instance.ts';
import { lvsReport } from './report.ts';

/** A listener as `GET /1.0/listeners` reports it. */
export interface LvsStatus {
  status: 'ACTIVE' | 'OFFLINE' | 'ERROR';
  uuid: string;
  type: 'UDP' | 'SCTP';
}

const CONFIG = /^octavia-keepalivedlvs-(.+)\.conf$/;

/** What serves the UDP and SCTP listeners of this amphora. */
export class Lvs {
  readonly #parts: LvsParts;
  readonly #instances = new Map<string, LvsInstance>();

  constructor(parts: LvsParts) {
    this.#parts = parts;
  }

  /** Adopt what runs, and start what should. */
  async resume(): Promise<void> {
    const directory = lvsDirectory(this.#parts.settings.state_dir);
    await writeCheckScripts(directory);
    const ids = (await readdir(directory)).flatMap((name) => CONFIG.exec(name)?.[1] ?? []);
    await Promise.all(
      ids
        .filter((id) => z.uuid().safeParse(id).success)
        .map(async (id) => {
          try {
            await this.of(id).resume();
          } catch (error) {
            this.#parts.log.error({ err: error, listener: id }, 'could not start keepalived for a listener');
          }
        }),
    );
  }

  of(listenerId: string): LvsInstance {
    const known = this.#instances.get(listenerId) ?? new LvsInstance(listenerId, this.#parts);
    this.#instances.set(listenerId, known);
    return known;
  }

  /** Whether it has a configuration of that listener. */
  async has(listenerId: string): Promise<boolean> {
    return (await this.#instances.get(listenerId)?.config()) !== undefined;
  }

  async remove(listenerId: string): Promise<void> {
    await this.of(listenerId).remove();
    this.#instances.delete(listenerId);
  }

  get runningCount(): number {
    return [...this.#instances.values()].filter(({ running }) => running).length;
  }

  /** Whether every one that is meant to run does. */
  async serve(): Promise<boolean> {
    const answers = await Promise.all([...this.#instances.values()].map((instance) => instance.serves()));
    return answers.every(Boolean);
  }

  async listeners(): Promise<LvsStatus[]> {
    const each = [...this.#instances].map(async ([uuid, instance]): Promise<LvsStatus[]> => {
      const config = await instance.config();
      if (config === undefined) return [];
      return [{ status: await instance.status(), uuid, type: /protocol SCTP/.test(config) ? 'SCTP' : 'UDP' }];
    });
    return (await Promise.all(each)).flat();
  }

  /** What to report of the listeners that are served. */
  async reports(): Promise<Report[]> {
    const running = [...this.#instances].filter(([, instance]) => instance.running);
    const kernel = running.length > 0 ? await this.#parts.ipvs.state() : undefined;
    if (!kernel) return [];
    return Promise.all(
      running.map(async ([id, instance]) => lvsReport(id, (await instance.config()) ?? '', kernel)),
    );
  }

  /** Let the programs run on without us. */
  release(): void {
    for (const instance of this.#instances.values()) instance.release();
  }
}
