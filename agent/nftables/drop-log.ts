import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Logger } from 'pino';
import type { DropLog } from '../../src/amphora-api/security-group.ts';
import type { Namespace } from '../namespace.ts';

/** Packets that are remembered for the API; the agent's own log has them all. */
const REMEMBERED = 1_000;

interface MonitorParts {
  namespace: Pick<Namespace, 'enter'>;
  nft: string;
  log: Logger;
}

/**
 * Writes down the packets that the rules trace. The kernel sends them to whoever listens in the namespace: unlike its log,
 * which is silent for every namespace but the host's.
 */
export class DropMonitor {
  readonly #parts: MonitorParts;
  #child: ChildProcess | undefined;
  #packets: DropLog['packets'] = [];

  constructor(parts: MonitorParts) {
    this.#parts = parts;
  }

  /** The last packets, oldest first. */
  get packets(): DropLog['packets'] {
    return this.#packets;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Listen, and forget what was heard before. */
  start(): void {
    this.#packets = [];
    if (this.#child) return;
    const { namespace, nft, log } = this.#parts;
    const [file, args] = namespace.enter(nft, ['monitor', 'trace']);
    // It ends with the agent, however that ends.
    const child = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', file, ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.on('error', (err) => log.error({ err }, 'cannot listen for dropped packets'));
    child.on('close', () => {
      if (this.#child === child) this.#child = undefined;
    });
    createInterface({ input: child.stdout }).on('line', (line) => this.#read(line));
    this.#child = child;
  }

  stop(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  /** Of the lines about a packet, the one that describes it. */
  #read(line: string): void {
    const packet = / packet: (.+?)\s*$/.exec(line)?.[1];
    if (packet === undefined) return;
    this.#parts.log.info({ packet }, 'dropped');
    this.#packets = [...this.#packets.slice(1 - REMEMBERED), { time: new Date().toISOString(), packet }];
  }
}
