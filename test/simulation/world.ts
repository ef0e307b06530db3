import { TerminalError, TransientError } from '../../src/model/errors.ts';

/** What an agent has in force: the rows it was made from, as `id@revision`. */
export interface Content {
  revision: number;
  rows: string[];
}

interface Agent {
  /** The highest epoch that it was called with. */
  epoch: number;
  config: Content | null;
  firewall: Content | null;
}

interface Server {
  name: string;
  /** When its agent begins to answer. */
  bootedAt: number;
  agent: Agent;
}

export interface WorldObserver {
  /**
   * An agent did what it was told, under this epoch. A server that a late call makes again has another agent, which knows
   * of nothing.
   */
  obeyed(agent: object, amphoraId: string, epoch: number): void;
}

/** What the effects act on: ports and servers at a provider, and the agents in the servers. */
export class World {
  readonly ports = new Set<string>();
  readonly servers = new Map<string, Server>();
  /** Amphorae whose agents stand still, and who waits for them. */
  readonly #away = new Map<string, (() => void)[]>();
  readonly #now: () => number;
  readonly #observer: WorldObserver;
  /** Agents refuse epochs lower than they have seen; a test takes that away to see whether it is noticed. */
  readonly #fencing: boolean;

  constructor(now: () => number, observer: WorldObserver, { fencing = true } = {}) {
    this.#now = now;
    this.#observer = observer;
    this.#fencing = fencing;
  }

  /** An agent stands still: what it is told waits, in order, until it goes on. */
  stop(amphoraId: string): void {
    if (!this.#away.has(amphoraId)) this.#away.set(amphoraId, []);
  }

  goOn(amphoraIds: Iterable<string> = [...this.#away.keys()]): void {
    for (const id of amphoraIds) {
      const waiting = this.#away.get(id) ?? [];
      this.#away.delete(id);
      for (const wake of waiting) wake();
    }
  }

  /** Resolves when the agent listens. */
  async listening(amphoraId: string): Promise<void> {
    const waiting = this.#away.get(amphoraId);
    if (waiting) await new Promise<void>((resolve) => waiting.push(resolve));
  }

  ensureServer(amphoraId: string, bootMs: number): void {
    if (this.servers.has(amphoraId)) return;
    this.servers.set(amphoraId, {
      name: amphoraId,
      bootedAt: this.#now() + bootMs,
      agent: { epoch: 0, config: null, firewall: null },
    });
  }

  deleteServer(amphoraId: string): void {
    this.servers.delete(amphoraId);
  }

  /** @throws TerminalError `server_lost` */
  attach(amphoraId: string, port: string): void {
    if (!this.servers.has(amphoraId)) throw serverLost(amphoraId);
    this.ports.add(port);
  }

  deletePorts(prefix: string, except: string[] = []): void {
    for (const port of this.ports) {
      if (port.startsWith(prefix) && !except.includes(port)) this.ports.delete(port);
    }
  }

  /** @throws TransientError `server_building` until the agent answers; TerminalError `server_lost` */
  ping(amphoraId: string, epoch: number): void {
    this.#obey(amphoraId, epoch);
  }

  push(amphoraId: string, part: 'config' | 'firewall', content: Content, epoch: number): void {
    this.#obey(amphoraId, epoch)[part] = content;
  }

  /** Names of everything that belongs to one of these ids. */
  remainsOf(ids: string[]): string[] {
    const ports = [...this.ports].filter((port) => ids.some((id) => port.includes(id)));
    return [...ports, ...ids.filter((id) => this.servers.has(id)).map((id) => `server ${id}`)];
  }

  #obey(amphoraId: string, epoch: number): Agent {
    const server = this.servers.get(amphoraId);
    if (server === undefined) throw serverLost(amphoraId);
    if (server.bootedAt > this.#now())
      throw new TransientError('server_building', 'the agent does not answer yet');
    const { agent } = server;
    if (this.#fencing && epoch < agent.epoch) {
      throw new TerminalError('stale_epoch', `epoch ${epoch} is lower than ${agent.epoch}`);
    }
    agent.epoch = Math.max(agent.epoch, epoch);
    this.#observer.obeyed(agent, amphoraId, epoch);
    return agent;
  }
}

const serverLost = (amphoraId: string) =>
  new TerminalError('server_lost', `amphora ${amphoraId} has no server`);
