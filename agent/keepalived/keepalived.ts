import { join } from 'node:path';
import type { Logger } from 'pino';
import { AgentError } from '../errors.ts';
import { readOptional } from '../files.ts';
import type { Namespace } from '../namespace.ts';
import { type Program, supervised } from '../processes/program.ts';
import { Serial } from '../serial.ts';
import type { AgentSettings } from '../settings.ts';
import { storeConfiguration } from './configuration.ts';

interface KeepalivedParts {
  namespace: Namespace;
  settings: Pick<AgentSettings, 'state_dir' | 'run_dir' | 'keepalived_path' | 'supervision'>;
  log: Logger;
}

/** The keepalived that holds the VIPs in ACTIVE_STANDBY (contract E5). */
export class Keepalived {
  readonly #parts: KeepalivedParts;
  readonly #config: string;
  readonly #parentPid: string;
  readonly #vrrpPid: string;
  readonly #daemon: Program;
  readonly #serial = new Serial();
  /** What the running process read last; unknown when an earlier agent started it. */
  #inForce: { config: string | undefined; pid: number | undefined } | undefined;

  constructor(parts: KeepalivedParts) {
    const { namespace, settings, log } = parts;
    this.#parts = parts;
    this.#config = join(settings.state_dir, 'vrrp', 'octavia-keepalived.conf');
    this.#parentPid = join(settings.run_dir, 'keepalived-vrrp.parent');
    this.#vrrpPid = join(settings.run_dir, 'keepalived-vrrp.child');
    this.#daemon = supervised(
      {
        name: 'octavia-keepalived',
        command: namespace.enter(settings.keepalived_path, [
          ...['--dont-fork', '--log-console', '--vrrp', `--use-file=${this.#config}`],
          `--pid=${this.#parentPid}`,
          `--vrrp_pid=${this.#vrrpPid}`,
        ]),
        pidFile: join(settings.run_dir, 'keepalived.pid'),
        logFile: join(settings.run_dir, 'keepalived.log'),
        log,
      },
      settings,
    );
  }

  /** Find the keepalived that an earlier agent started, or start it when it is configured (after a boot). */
  resume(): Promise<void> {
    return this.#serial.run(async () => {
      if ((await readOptional(this.#config)) === undefined || (await this.#adopt())) return;
      await this.#start().catch((err) => this.#parts.log.error({ err }, 'could not start keepalived'));
    });
  }

  /** Store a configuration; throws as `storeConfiguration` does. */
  upload(config: string): Promise<void> {
    return this.#serial.run(() => storeConfiguration(this.#parts, this.#config, config));
  }

  /** Start it, or let it read its configuration again when it runs (contract D2). */
  reload(): Promise<void> {
    return this.#serial.run(async () => {
      const config = await readOptional(this.#config);
      if (config === undefined) {
        throw new AgentError(400, 'Invalid request', { details: 'upload a keepalived configuration first' });
      }
      if (!(await this.#adopt())) await this.#start();
      else if (this.#inForce?.config !== config || this.#inForce.pid !== this.#daemon.pid) {
        this.#daemon.signal('SIGHUP');
      }
      this.#inForce = { config, pid: this.#daemon.pid };
    });
  }

  stop(): Promise<void> {
    return this.#serial.run(async () => {
      await this.#adopt();
      await this.#daemon.stop();
    });
  }

  get running(): boolean {
    return this.#daemon.running;
  }

  /** Whether it runs, or need not because nothing is configured. */
  async isSound(): Promise<boolean> {
    return this.#daemon.running || (await readOptional(this.#config)) === undefined;
  }

  release(): void {
    this.#daemon.release();
  }

  /** A keepalived whose start the agent did not survive is known by its own pid file only, which may be stale. */
  async #adopt(): Promise<boolean> {
    if (await this.#daemon.adopt()) return true;
    const pid = Number(await readOptional(this.#parentPid));
    const name = await readOptional(`/proc/${pid}/comm`);
    return name?.trim() === 'keepalived' && this.#daemon.adopt(pid);
  }

  async #start(): Promise<void> {
    try {
      await this.#daemon.start(async () => (await readOptional(this.#vrrpPid)) !== undefined);
    } catch (error) {
      throw new AgentError(500, 'Error starting keepalived', {
        details: (error as Error).message,
        cause: error,
      });
    }
  }
}
