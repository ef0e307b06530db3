import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { peerName } from '../../src/amphora-api/peer-name.ts';
import { CommandError, run } from '../command.ts';
import { AgentError } from '../errors.ts';
import { readOptional, writeAtomically } from '../files.ts';
import type { Namespace } from '../namespace.ts';
import { poll } from '../processes/poll.ts';
import { type Program, supervised } from '../processes/program.ts';
import { Serial } from '../serial.ts';
import type { AgentSettings } from '../settings.ts';
import { MasterSocket } from './master-socket.ts';
import { isAccepted, serverChanges } from './server-changes.ts';
import { healthOnly, NO_SERVER_STATE } from './server-state.ts';

export interface HaproxyParts {
  namespace: Namespace;
  settings: Pick<AgentSettings, 'amphora_id' | 'state_dir' | 'run_dir' | 'haproxy_path' | 'supervision'>;
  log: Logger;
}

/** How a stored configuration came into force, and the number of the last reload. */
export interface Applied {
  by: 'start' | 'reload' | 'runtime socket' | 'nothing';
  reloads: number;
}

const RELOAD_DEADLINE_MS = 15_000;
const ANSWER_DEADLINE_MS = 1_000;

/**
 * The haproxy of one load balancer (contract D2, D3): a master that keeps its process id, and workers that it
 * replaces at each reload without refusing a connection. One change at a time.
 *
 * `haproxy.cfg` is the configuration to run next; `haproxy.cfg.running` the one in force, to which a reload that
 * fails goes back, and whose existence says that haproxy is meant to run.
 */
export class HaproxyInstance {
  readonly #parts: HaproxyParts;
  readonly #directory: string;
  readonly #config: string;
  readonly #running: string;
  readonly #daemon: Program;
  readonly #master: MasterSocket;
  readonly #serial = new Serial();
  readonly #statsSocket: string;
  /**
   * What this agent itself made that process run; unknown for one that it adopted. A haproxy that was started again
   * after its death may have read a newer file.
   */
  #inForce: { config: string; pid: number | undefined } | undefined;
  #reloads = 0;
  /** A reload that has not begun yet serves everybody who asks for one. */
  #waiting: Promise<Applied> | undefined;

  constructor(loadBalancerId: string, parts: HaproxyParts) {
    const { settings, namespace, log } = parts;
    this.#parts = parts;
    this.#directory = join(settings.state_dir, loadBalancerId);
    this.#config = join(this.#directory, 'haproxy.cfg');
    this.#running = `${this.#config}.running`;
    this.#statsSocket = join(settings.state_dir, `${loadBalancerId}.sock`);
    const masterSocket = join(settings.run_dir, `haproxy-${loadBalancerId}.master`);
    this.#master = new MasterSocket(masterSocket);
    this.#daemon = supervised(
      {
        name: `haproxy-${loadBalancerId}`,
        // -db keeps the master in the foreground although the configuration says `daemon`.
        command: namespace.enter(settings.haproxy_path, [
          ...['-W', '-db', '-S', masterSocket],
          ...this.#arguments(this.#config),
        ]),
        pidFile: join(settings.run_dir, `haproxy-${loadBalancerId}.pid`),
        logFile: join(settings.run_dir, `haproxy-${loadBalancerId}.log`),
        log,
      },
      settings,
    );
  }

  get running(): boolean {
    return this.#daemon.running;
  }

  /** The stored configuration; undefined when there is none. */
  config(): Promise<string | undefined> {
    return readOptional(this.#config);
  }

  /** Find the haproxy that an earlier agent started, or start it when it should run (after a boot). */
  resume(): Promise<void> {
    return this.#serial.run(async () => {
      if ((await readOptional(this.#running)) === undefined || (await this.#adopt())) return;
      await this.#start();
    });
  }

  /**
   * Store a configuration, once haproxy has checked it. Resolves with whether haproxy runs with this very one already.
   * @throws AgentError 400 with haproxy's words; what was stored before stays
   */
  upload(config: string): Promise<{ inForce: boolean }> {
    this.#waiting = undefined;
    return this.#serial.run(async () => {
      const { settings } = this.#parts;
      if (this.#configInForce() === config) {
        await writeAtomically(this.#config, config);
        return { inForce: true };
      }
      await mkdir(this.#directory, { recursive: true, mode: 0o755 });
      const candidate = `${this.#config}.new`;
      await writeAtomically(candidate, config);
      try {
        // Here and not in the namespace, whose interfaces and addresses it does not look at: entering takes a fifth more time.
        await run(settings.haproxy_path, ['-c', ...this.#arguments(candidate)]);
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        await rename(candidate, `${this.#config}.rejected`);
        throw new AgentError(400, 'Invalid request', { details: error.output, cause: error });
      }
      await rename(candidate, this.#config);
      return { inForce: false };
    });
  }

  /**
   * Bring the stored configuration into force: by starting haproxy, on its runtime socket where only servers changed, else
   * by a seamless reload. Resolves when it serves.
   * @throws AgentError 404 without configuration, 500 with haproxy's words
   */
  reload(): Promise<Applied> {
    this.#waiting ??= this.#serial.run(async () => {
      this.#waiting = undefined;
      const start = performance.now();
      const by = await this.#apply();
      const applied = { by, reloads: this.#reloads };
      const ms = Math.round(performance.now() - start);
      this.#parts.log.info({ process: this.#daemon.name, ...applied, ms }, 'configuration in force');
      return applied;
    });
    return this.#waiting;
  }

  /**
   * Change files that the configuration refers to, while no reload reads them. When they are different then (`change` says
   * so), the next reload is one, whatever the configuration says.
   */
  changeFiles(change: () => Promise<boolean>): Promise<void> {
    this.#waiting = undefined;
    return this.#serial.run(async () => {
      if (await change()) this.#inForce = undefined;
    });
  }

  stop(): Promise<void> {
    return this.#serial.run(async () => {
      if ((await this.config()) === undefined) throw new AgentError(404, 'Listener Not Found');
      await this.#stop();
    });
  }

  /** Stop haproxy and remove all its files. */
  remove(): Promise<void> {
    return this.#serial.run(async () => {
      await this.#stop();
      await rm(this.#directory, { recursive: true, force: true });
      await rm(this.#statsSocket, { force: true });
    });
  }

  /** Whether its worker answers; true also when it is not meant to run. */
  async serves(): Promise<boolean> {
    if ((await readOptional(this.#running)) === undefined) return true;
    return Boolean(await this.#master.tryAsk('@1 show info', ANSWER_DEADLINE_MS));
  }

  /** What the worker that serves has counted (`show stat`), with its process id; undefined while none serves. */
  async statistics(): Promise<{ worker: number; csv: string } | undefined> {
    const [worker] = (await this.#master.processes())?.workers ?? [];
    if (worker === undefined) return undefined;
    const csv = await this.#master.tryAsk(`@!${worker} show stat`);
    return csv === undefined ? undefined : { worker, csv };
  }

  release(): void {
    this.#daemon.release();
  }

  #configInForce(): string | undefined {
    return this.#inForce?.pid === this.#daemon.pid ? this.#inForce?.config : undefined;
  }

  async #apply(): Promise<Applied['by']> {
    const config = await this.config();
    if (config === undefined) throw new AgentError(404, 'Listener Not Found');
    const before = this.#configInForce();
    if (before === config) return 'nothing';
    this.#inForce = undefined;
    if (!(await this.#adopt())) {
      await this.#start();
      return 'start';
    }
    if (before !== undefined && (await this.#changeServers(before, config))) return 'runtime socket';
    await this.#replaceWorkers();
    this.#reloads += 1;
    return 'reload';
  }

  /** False when that is not possible, or went wrong on the way: a reload puts everything right. */
  async #changeServers(before: string, after: string): Promise<boolean> {
    const commands = serverChanges(before, after);
    const [worker] = (await this.#master.processes())?.workers ?? [];
    if (commands === undefined || worker === undefined) return false;
    for (const command of commands) {
      const answer = await this.#master.tryAsk(`@!${worker} ${command}`);
      if (answer === undefined || !isAccepted(answer)) {
        this.#parts.log.info({ process: this.#daemon.name, command, answer }, 'haproxy needs a reload');
        return false;
      }
    }
    await this.#markRunning();
    return true;
  }

  #arguments(config: string): string[] {
    return ['-L', peerName(this.#parts.settings.amphora_id), '-f', config];
  }

  /** A haproxy whose start the agent did not survive is known to nobody but its socket. */
  async #adopt(): Promise<boolean> {
    return (
      (await this.#daemon.adopt()) || (await this.#daemon.adopt((await this.#master.processes())?.master))
    );
  }

  async #start(): Promise<void> {
    // What was saved before the last reload says nothing about now.
    await writeFile(join(this.#directory, 'servers-state'), NO_SERVER_STATE);
    try {
      await this.#startDaemon();
    } catch (error) {
      const details = (error as Error).message;
      if (await this.#goBack()) await this.#startDaemon();
      throw new AgentError(500, 'Error starting haproxy', { details, cause: error });
    }
    await this.#markRunning();
  }

  async #markRunning(): Promise<void> {
    await copyFile(this.#config, this.#running);
    this.#inForce = { config: await readFile(this.#running, 'utf8'), pid: this.#daemon.pid };
  }

  #startDaemon(): Promise<void> {
    return this.#daemon.start(async () => {
      const [worker] = (await this.#master.processes())?.workers ?? [];
      return worker !== undefined && (await this.#master.isServing(worker));
    });
  }

  /** Put the configuration that served last back in place of one that does not; false when there is none. */
  async #goBack(): Promise<boolean> {
    if ((await readOptional(this.#running)) === undefined) return false;
    await rename(this.#config, `${this.#config}.rejected`);
    await copyFile(this.#running, this.#config);
    return true;
  }

  async #stop(): Promise<void> {
    this.#inForce = undefined;
    await this.#adopt();
    await rm(this.#running, { force: true });
    await this.#daemon.stop();
  }

  async #replaceWorkers(): Promise<void> {
    const before = await this.#master.processes();
    if (!before)
      throw new AgentError(500, 'Error reloading haproxy', { details: 'its master does not answer' });
    await this.#saveServerState(before.workers);
    const outputSize = await this.#daemon.outputSize();
    this.#daemon.signal('SIGUSR2');

    const reloaded = await poll(RELOAD_DEADLINE_MS, async () => {
      const now = await this.#master.processes();
      if (!now) return this.#daemon.running ? undefined : false;
      if (now.failedReloads > before.failedReloads) return false;
      const fresh = now.workers.filter((pid) => !before.workers.includes(pid));
      if (fresh.length === 0) return undefined;
      // An old worker may still take a connection until it has heard that it shall finish.
      const served = await Promise.all(
        [...fresh, ...before.workers].map((pid) => this.#master.isServing(pid)),
      );
      return served.every((serving, index) => serving === index < fresh.length) || undefined;
    });
    if (reloaded) {
      await this.#markRunning();
      return;
    }
    await this.#goBack();
    const details = await this.#daemon.outputSince(outputSize);
    throw new AgentError(500, 'Error reloading haproxy; the previous configuration stays in force', {
      details,
    });
  }

  /** The next worker reads the health of the servers from there (contract D2). */
  async #saveServerState(workers: readonly number[]): Promise<void> {
    const [worker] = workers;
    if (worker === undefined) return;
    const state = await this.#master.tryAsk(`@!${worker} show servers state`);
    if (state) await writeFile(join(this.#directory, 'servers-state'), healthOnly(state));
  }
}
