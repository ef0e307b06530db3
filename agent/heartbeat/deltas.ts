import { join } from 'node:path';
import * as z from 'zod';
import { type Heartbeat, ListenerCounters } from '../../src/amphora-api/heartbeat.ts';
import { readOptional, writeAtomically } from '../files.ts';

const Counted = z.record(z.string(), z.object({ worker: z.number(), stats: ListenerCounters }));
type Counted = z.infer<typeof Counted>;

/** What each listener had counted at the last heartbeat. On the tmpfs: haproxy's counters live no longer either. */
export class Deltas {
  readonly #path: string;

  constructor(runDir: string) {
    this.#path = join(runDir, 'statistics.json');
  }

  /**
   * Counters since the last call, which are noted as told. A reload starts a new worker of haproxy, and it counts from
   * zero.
   * @param reports listeners with their absolute counters, by the process id of the worker that counts
   */
  async take(
    reports: readonly { worker: number; listeners: Heartbeat['listeners'] }[],
  ): Promise<Heartbeat['listeners']> {
    const before = await this.#read();
    const now: Counted = {};
    const deltas: Heartbeat['listeners'] = {};
    for (const { worker, listeners } of reports) {
      for (const [id, { status, stats }] of Object.entries(listeners)) {
        const known = before[id];
        now[id] = { worker, stats };
        deltas[id] = { status, stats: known?.worker === worker ? subtract(stats, known.stats) : stats };
      }
    }
    await writeAtomically(this.#path, JSON.stringify(now));
    return deltas;
  }

  async #read(): Promise<Counted> {
    const stored = await readOptional(this.#path);
    return stored === undefined ? {} : Counted.parse(JSON.parse(stored));
  }
}

/** `clear counters` on haproxy's socket may set back what only grows otherwise. */
function subtract(now: ListenerCounters, before: ListenerCounters): ListenerCounters {
  const since = (name: keyof ListenerCounters) =>
    now[name] >= before[name] ? now[name] - before[name] : now[name];
  return {
    tx: since('tx'),
    rx: since('rx'),
    conns: now.conns,
    totconns: since('totconns'),
    ereq: since('ereq'),
  };
}
