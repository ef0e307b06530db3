import { readdir } from 'node:fs/promises';
import * as z from 'zod';
import { HaproxyInstance, type HaproxyParts } from './instance.ts';

/** A listener as `GET /1.0/listeners` reports it. */
export interface ListenerStatus {
  status: 'ACTIVE' | 'OFFLINE';
  uuid: string;
  /** haproxy's mode in capitals. */
  type: string;
}

/** The haproxies of this amphora, by load balancer. */
export class Haproxies {
  readonly #parts: HaproxyParts;
  readonly #instances = new Map<string, HaproxyInstance>();

  constructor(parts: HaproxyParts) {
    this.#parts = parts;
  }

  /** Adopt what runs, and start what should. */
  async resume(): Promise<void> {
    const entries = await readdir(this.#parts.settings.state_dir, { withFileTypes: true });
    const ids = entries.filter((entry) => entry.isDirectory() && z.uuid().safeParse(entry.name).success);
    await Promise.all(
      ids.map(async ({ name }) => {
        try {
          await this.of(name).resume();
        } catch (error) {
          this.#parts.log.error({ err: error, load_balancer: name }, 'could not start haproxy');
        }
      }),
    );
  }

  of(loadBalancerId: string): HaproxyInstance {
    const known = this.#instances.get(loadBalancerId) ?? new HaproxyInstance(loadBalancerId, this.#parts);
    this.#instances.set(loadBalancerId, known);
    return known;
  }

  async remove(loadBalancerId: string): Promise<void> {
    await this.of(loadBalancerId).remove();
    this.#instances.delete(loadBalancerId);
  }

  get runningCount(): number {
    return [...this.#instances.values()].filter(({ running }) => running).length;
  }

  /** Whether each haproxy that is meant to run answers. */
  async serve(): Promise<boolean> {
    const answers = await Promise.all([...this.#instances.values()].map((instance) => instance.serves()));
    return answers.every(Boolean);
  }

  async listeners(): Promise<ListenerStatus[]> {
    const perInstance = [...this.#instances.values()].map(async (instance) => {
      const status: ListenerStatus['status'] = instance.running ? 'ACTIVE' : 'OFFLINE';
      return frontends((await instance.config()) ?? '').map(({ uuid, mode }) => ({
        status,
        uuid,
        type: mode,
      }));
    });
    return (await Promise.all(perInstance)).flat();
  }

  /** What the haproxies that serve have counted. */
  async statistics(): Promise<{ worker: number; csv: string }[]> {
    const running = [...this.#instances.values()].filter((instance) => instance.running);
    const answers = await Promise.all(running.map((instance) => instance.statistics()));
    return answers.filter((answer) => answer !== undefined);
  }

  /** Let the programs run on without us. */
  release(): void {
    for (const instance of this.#instances.values()) instance.release();
  }
}

/** Frontends that are listeners: their name is the listener's id (contract E2). */
function frontends(config: string): { uuid: string; mode: string }[] {
  return config.split(/^(?=[a-z])/m).flatMap((section) => {
    const uuid = /^frontend\s+([0-9a-f-]{36})\s/.exec(section)?.[1];
    if (!uuid) return [];
    return [{ uuid, mode: (/^\s+mode\s+(\w+)/m.exec(section)?.[1] ?? 'tcp').toUpperCase() }];
  });
}
