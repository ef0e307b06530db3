import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { AgentError } from '../errors.ts';
import { readOptional, writeAtomically } from '../files.ts';
import { storeConfiguration } from '../keepalived/configuration.ts';
import type { Namespace } from '../namespace.ts';
import { type Program, supervised } from '../processes/program.ts';
import { Serial } from '../serial.ts';
import type { AgentSettings } from '../settings.ts';
import type { Ipvs } from './ipvs.ts';

export interface LvsParts {
  namespace: Namespace;
  settings: Pick<AgentSettings, 'state_dir' | 'run_dir' | 'keepalived_path' | 'supervision'>;
  ipvs: Ipvs;
  log: Logger;
}

/** Directory of all listeners' files (contract D3). */
export const lvsDirectory = (stateDir: string) => join(stateDir, 'lvs');
export const configName = (listenerId: string) => `octavia-keepalivedlvs-${listenerId}.conf`;

/**
 * The keepalived of one UDP or SCTP listener (contract E4): it tells the kernel's LVS where to send datagrams, and checks
 * the members. The kernel forwards them, also while keepalived is started again. One change at a time.
 */
export class LvsInstance {
  readonly #parts: LvsParts;
  readonly #listenerId: string;
  readonly #config: string;
  /** Says that it is meant to run. */
  readonly #running: string;
  readonly #parentPid: string;
  readonly #checkersPid: string;
  readonly #daemon: Program;
  readonly #serial = new Serial();
  /** What the running process read last; unknown when an earlier agent started it. */
  #inForce: { config: string | undefined; pid: number | undefined } | undefined;

  constructor(listenerId: string, parts: LvsParts) {
    const { namespace, settings, log } = parts;
    this.#parts = parts;
    this.#listenerId = listenerId;
    this.#config = join(lvsDirectory(settings.state_dir), configName(listenerId));
    this.#running = `${this.#config}.running`;
    const name = `octavia-keepalivedlvs-${listenerId}`;
    this.#parentPid = join(settings.run_dir, `${name}.parent`);
    this.#checkersPid = join(settings.run_dir, `${name}.child`);
    this.#daemon = supervised(
      {
        name,
        command: namespace.enter(settings.keepalived_path, [
          ...['--dont-fork', '--log-console', '--check', `--use-file=${this.#config}`],
          `--pid=${this.#parentPid}`,
          `--checkers_pid=${this.#checkersPid}`,
        ]),
        pidFile: join(settings.run_dir, `${name}.pid`),
        logFile: join(settings.run_dir, `${name}.log`),
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

  /** As in `GET /1.0/listeners`. */
  async status(): Promise<'ACTIVE' | 'OFFLINE' | 'ERROR'> {
    if (this.running) return 'ACTIVE';
    return (await readOptional(this.#running)) === undefined ? 'OFFLINE' : 'ERROR';
  }

  /** Whether it runs; true also when it is not meant to. */
  async serves(): Promise<boolean> {
    return (await this.status()) !== 'ERROR';
  }

  /** Find the keepalived that an earlier agent started, or start it when it should run (after a boot). */
  resume(): Promise<void> {
    return this.#serial.run(async () => {
      if ((await readOptional(this.#running)) === undefined || (await this.#adopt())) return;
      await this.#start();
    });
  }

  /** Store a configuration; throws as `storeConfiguration` does. */
  upload(config: string): Promise<void> {
    return this.#serial.run(() => storeConfiguration(this.#parts, this.#config, config));
  }

  /** Start it, or let it read its configuration again: what did not change goes on undisturbed. */
  reload(): Promise<void> {
    return this.#serial.run(async () => {
      const config = await this.#requireConfig();
      if (!(await this.#adopt())) await this.#start();
      else if (this.#inForce?.config !== config || this.#inForce.pid !== this.#daemon.pid) {
        this.#daemon.signal('SIGHUP');
      }
      this.#inForce = { config, pid: this.#daemon.pid };
      await writeAtomically(this.#running, '');
    });
  }

  stop(): Promise<void> {
    return this.#serial.run(async () => {
      await this.#requireConfig();
      await this.#stop();
    });
  }

  /** Stop it and remove its files. */
  remove(): Promise<void> {
    return this.#serial.run(async () => {
      await this.#stop();
      for (const suffix of ['', '.new', '.rejected']) await rm(`${this.#config}${suffix}`, { force: true });
    });
  }

  release(): void {
    this.#daemon.release();
  }

  async #requireConfig(): Promise<string> {
    const config = await this.config();
    if (config === undefined) throw new AgentError(404, 'Listener Not Found');
    return config;
  }

  /** A keepalived whose start the agent did not survive is known by its own pid file only, which may be stale. */
  async #adopt(): Promise<boolean> {
    if (await this.#daemon.adopt()) return true;
    const pid = Number(await readOptional(this.#parentPid));
    const command = await readOptional(`/proc/${pid}/cmdline`);
    return command?.includes(configName(this.#listenerId)) === true && this.#daemon.adopt(pid);
  }

  async #start(): Promise<void> {
    await this.#parts.ipvs.enable();
    try {
      await this.#daemon.start(async () => (await readOptional(this.#checkersPid)) !== undefined);
    } catch (error) {
      const details = (error as Error).message;
      throw new AgentError(500, 'Error starting keepalived', { details, cause: error });
    }
  }

  async #stop(): Promise<void> {
    await this.#adopt();
    await rm(this.#running, { force: true });
    await this.#daemon.stop();
  }
}
