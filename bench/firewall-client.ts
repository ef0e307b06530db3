import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** Short, so that whatever else goes on in the machine meets two that take turns alike. */
const TURN_MS = 30;
/** What is under way when a client stops has arrived after that. */
const SETTLE_MS = 5;

/** How connections fared; CPU times in µs. */
export interface Turn {
  perSecond: number;
  /** Of a connection, at both its ends. */
  cpu: number;
  /** Under a flood: SYNs in a second, and the CPU time of each with all that came of it. */
  sent?: number;
  cpuOfSyn?: number;
}

interface Parts {
  connecting: ChildProcess;
  flooding: ChildProcess[];
  /** All that has a hand in the connections. */
  servers: ChildProcess[];
  /** Connections that were taken since the start. */
  accepted: () => Promise<number>;
}

/** What connects, and what floods besides: stands still but in its turns. */
export class BenchClient {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#signal('SIGSTOP');
  }

  /** Have two of them take turns, so many pairs of them; what either saw in each. */
  static async alternate(one: BenchClient, other: BenchClient, pairs: number): Promise<[Turn, Turn][]> {
    const seen: [Turn, Turn][] = [];
    for (let pair = 0; pair < pairs; pair += 1) {
      const first = pair % 2 === 0 ? await one.#turn() : undefined;
      const second = await other.#turn();
      seen.push([first ?? (await one.#turn()), second]);
    }
    return seen;
  }

  async stop(): Promise<void> {
    for (const child of [this.#parts.connecting, ...this.#parts.flooding]) await ended(child);
  }

  async #turn(): Promise<Turn> {
    const before = await this.#look();
    const began = performance.now();
    this.#signal('SIGCONT');
    await pause(TURN_MS);
    this.#signal('SIGSTOP');
    const seconds = (performance.now() - began) / 1_000;
    await pause(SETTLE_MS);
    const after = await this.#look();
    const connections = after.connections - before.connections;
    const sent = after.sent - before.sent;
    return {
      perSecond: connections / seconds,
      cpu: (after.cpu - before.cpu) / connections,
      ...(sent > 0 && { sent: sent / seconds, cpuOfSyn: (after.flood - before.flood) / sent }),
    };
  }

  #signal(signal: 'SIGCONT' | 'SIGSTOP'): void {
    for (const child of [this.#parts.connecting, ...this.#parts.flooding]) child.kill(signal);
  }

  async #look(): Promise<Look> {
    const { connecting, flooding, servers, accepted } = this.#parts;
    return {
      connections: await accepted(),
      cpu: cpuTime([connecting, ...servers]),
      sent: sleeps(flooding),
      flood: cpuTime(flooding),
    };
  }
}

/** End a process at once. Resolves when it has. */
export async function ended(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** Counts since the start. */
interface Look {
  connections: number;
  cpu: number;
  sent: number;
  flood: number;
}

/**
 * CPU time of processes that run, in µs. What the kernel does with a packet is in it: on these links it happens where the
 * packet is sent.
 */
function cpuTime(processes: ChildProcess[]): number {
  return processes
    .flatMap(({ pid }) =>
      readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/schedstat`),
    )
    .reduce((sum, path) => sum + Number(readFileSync(path, 'utf8').split(' ')[0]) / 1_000, 0);
}

/** How often processes went to sleep; a sender does after each SYN. */
function sleeps(processes: ChildProcess[]): number {
  return processes
    .map(
      ({ pid }) =>
        /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1],
    )
    .reduce((sum, count) => sum + Number(count), 0);
}
