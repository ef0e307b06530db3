import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { readOptional, writeAtomically } from '../files.ts';
import { identify, isAlive, type ProcessIdentity } from './identity.ts';
import { outputSince, outputSize } from './output.ts';
import { poll } from './poll.ts';
import type { Program, ProgramOptions } from './program.ts';

const START_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 5_000;
/** An adopted process is nobody's child here, so its end can only be looked for. */
const ADOPTED_CHECK_MS = 500;
const BACKOFF_MS = { first: 100, most: 10_000 };
/** A process that lived this long was sound, and its death is a new story. */
const SOUND_MS = 60_000;

/**
 * A long-running program that outlives the agent: started in its own session, found again by the next agent, and
 * started anew when it dies, with growing pauses while it keeps dying.
 */
export class Daemon implements Program {
  readonly #options: ProgramOptions;
  #process: ProcessIdentity | undefined;
  #wanted = false;
  #backoff = BACKOFF_MS.first;
  #spawnedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get running(): boolean {
    return this.pid !== undefined;
  }

  /** Its process id while it runs. */
  get pid(): number | undefined {
    return this.#process && isAlive(this.#process) ? this.#process.pid : undefined;
  }

  /**
   * Take over the process that an earlier agent started; false when there is none.
   * @param pid where its own files say that it runs, should the agent have died before it noted that itself
   */
  async adopt(pid?: number): Promise<boolean> {
    if (this.running) return true;
    const candidates = [await this.#noted(), pid === undefined ? undefined : identify(pid)];
    const identity = candidates.find((candidate) => candidate && isAlive(candidate));
    if (!identity) return false;
    await this.#note(identity);
    this.#wanted = true;
    this.#watchAdopted(identity);
    return true;
  }

  /**
   * Start the program and wait until `ready`.
   * @throws Error with the program's output when it exits, or is not ready within 10 s (it is stopped then)
   */
  async start(ready: () => Promise<boolean>): Promise<void> {
    if (this.running) return;
    clearTimeout(this.#timer);
    await this.#spawn();
    const isReady = await poll(START_DEADLINE_MS, async () => {
      if (!this.running) return false;
      return (await ready()) || undefined;
    });
    if (isReady) {
      this.#wanted = true;
      return;
    }
    await this.stop();
    throw new Error((await this.outputSince(0)) || `${this.#options.name} was not ready in time`);
  }

  /** @throws Error when it does not run */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid === undefined) throw new Error(`${this.#options.name} is not running`);
    process.kill(pid, signal);
  }

  /** End it for good: TERM, and KILL after 5 s. Success when it does not run. */
  async stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#timer);
    const identity = this.#process;
    if (identity && isAlive(identity)) {
      process.kill(identity.pid, 'SIGTERM');
      const gone = async () => !isAlive(identity) || undefined;
      if (!(await poll(STOP_DEADLINE_MS, gone))) {
        process.kill(identity.pid, 'SIGKILL');
        await poll(STOP_DEADLINE_MS, gone);
      }
    }
    this.#process = undefined;
    await rm(this.#options.pidFile, { force: true });
  }

  /** Stop watching; the program runs on. */
  release(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  outputSize(): Promise<number> {
    return outputSize(this.#options.logFile);
  }

  outputSince(size: number): Promise<string> {
    return outputSince(this.#options.logFile, size);
  }

  async #spawn(): Promise<void> {
    const { command, logFile } = this.#options;
    const output = openSync(logFile, 'w', 0o600);
    const child = spawn(command[0], command[1], { detached: true, stdio: ['ignore', output, output] });
    closeSync(output);
    // Without a process id it could not start; the error event says why.
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    if (child.pid === undefined) return failed;
    failed.catch(() => {});
    child.unref();

    const identity = identify(child.pid);
    this.#spawnedAt = performance.now();
    child.once('exit', () => this.#died(identity));
    await this.#note(identity);
  }

  async #note(identity: ProcessIdentity): Promise<void> {
    this.#process = identity;
    await writeAtomically(this.#options.pidFile, `${identity.pid} ${identity.startTime}`);
  }

  async #noted(): Promise<ProcessIdentity | undefined> {
    const [pid, startTime] = (await readOptional(this.#options.pidFile))?.split(' ') ?? [];
    return pid && startTime ? { pid: Number(pid), startTime } : undefined;
  }

  #watchAdopted(identity: ProcessIdentity): void {
    this.#timer = setTimeout(() => {
      if (isAlive(identity)) this.#watchAdopted(identity);
      else this.#died(identity);
    }, ADOPTED_CHECK_MS).unref();
  }

  #died(identity: ProcessIdentity): void {
    if (!this.#wanted || identity !== this.#process) return;
    const { log, name } = this.#options;
    if (performance.now() - this.#spawnedAt > SOUND_MS) this.#backoff = BACKOFF_MS.first;
    log.error(
      { process: name, pid: identity.pid, restart_ms: this.#backoff },
      'a process died, starting it again',
    );
    this.#timer = setTimeout(() => {
      this.#spawn().catch((err) => {
        log.error({ err, process: name }, 'could not start a process');
        this.#died(identity);
      });
    }, this.#backoff).unref();
    this.#backoff = Math.min(this.#backoff * 2, BACKOFF_MS.most);
  }
}
