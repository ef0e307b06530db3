import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../command.ts';
import { readOptional, writeAtomically } from '../files.ts';
import { identify, isAlive, type ProcessIdentity } from './identity.ts';
import { outputSince, outputSize } from './output.ts';
import { poll } from './poll.ts';
import type { Program, ProgramOptions } from './program.ts';

/** Where systemd's units and its command are. */
export interface SystemdPaths {
  units: string;
  systemctl: string;
}

/** As in an amphora image of Octavia (contract D3). */
const OCTAVIA_PATHS: SystemdPaths = {
  units: '/usr/lib/systemd/system',
  systemctl: '/usr/bin/systemctl',
};

const START_DEADLINE_MS = 10_000;
/** Whoever restarts the program does not tell us, so its process can only be looked for. */
const CHECK_MS = 500;

/**
 * A program as a unit of systemd, named as Octavia names it (`haproxy-<load balancer>`, `octavia-keepalived`). systemd
 * keeps it running, apart from the agent's own unit. It is not enabled: at boot the agent starts it, once the firewall
 * stands.
 */
export class SystemdUnit implements Program {
  readonly #options: ProgramOptions;
  readonly #paths: SystemdPaths;
  #process: ProcessIdentity | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ProgramOptions, paths = OCTAVIA_PATHS) {
    this.#options = options;
    this.#paths = paths;
  }

  get name(): string {
    return this.#options.name;
  }

  get running(): boolean {
    return this.pid !== undefined;
  }

  get pid(): number | undefined {
    return this.#process && isAlive(this.#process) ? this.#process.pid : undefined;
  }

  /** A unit that another agent wrote does not count: its program knows nothing of our sockets. */
  async adopt(): Promise<boolean> {
    if ((await readOptional(this.#path)) !== unitFile(this.#options)) return false;
    await this.#find();
    if (this.running) this.#watch();
    return this.running;
  }

  async start(ready: () => Promise<boolean>): Promise<void> {
    if (this.running) return;
    await writeAtomically(this.#path, unitFile(this.#options), 0o644);
    await this.#systemctl('daemon-reload');
    await this.#systemctl('restart', this.#unit);
    const isReady = await poll(START_DEADLINE_MS, async () => {
      await this.#find();
      if (!this.running) return false;
      return (await ready()) || undefined;
    });
    if (isReady) {
      this.#watch();
      return;
    }
    const said = await outputSince(this.#options.logFile, 0).catch(() => '');
    await this.stop();
    throw new Error(said || `${this.#unit} was not ready in time`);
  }

  signal(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid === undefined) throw new Error(`${this.#unit} is not running`);
    process.kill(pid, signal);
  }

  async stop(): Promise<void> {
    this.release();
    this.#process = undefined;
    if ((await readOptional(this.#path)) === undefined) return;
    await this.#systemctl('stop', this.#unit);
    await rm(this.#path, { force: true });
    await this.#systemctl('daemon-reload');
  }

  release(): void {
    clearInterval(this.#timer);
  }

  outputSize(): Promise<number> {
    return outputSize(this.#options.logFile);
  }

  outputSince(size: number): Promise<string> {
    return outputSince(this.#options.logFile, size);
  }

  get #unit(): string {
    return `${this.#options.name}.service`;
  }

  get #path(): string {
    return join(this.#paths.units, this.#unit);
  }

  async #find(): Promise<void> {
    const pid = Number(await this.#systemctl('show', '--property=MainPID', '--value', this.#unit));
    this.#process = pid > 0 ? identify(pid) : undefined;
  }

  #watch(): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      if (this.running) return;
      this.#find().catch((err) =>
        this.#options.log.error({ err, unit: this.#unit }, 'systemd does not answer'),
      );
    }, CHECK_MS).unref();
  }

  #systemctl(...args: string[]): Promise<string> {
    return run(this.#paths.systemctl, args);
  }
}

/** `KillMode=mixed`: haproxy's master ends its workers itself, and leaves them their time. */
function unitFile({ name, command: [file, args], logFile }: ProgramOptions): string {
  return `[Unit]
Description=${name} of this amphora
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${[file, ...args].map(quote).join(' ')}
Restart=always
RestartSec=100ms
KillMode=mixed
TimeoutStopSec=5s
LimitNOFILE=2097152
StandardOutput=truncate:${logFile}
StandardError=append:${logFile}
`;
}

/** systemd reads quotes, escapes, specifiers and variables in a command line (man systemd.service). */
function quote(argument: string): string {
  const escaped = argument.replace(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$');
  return `"${escaped}"`;
}
