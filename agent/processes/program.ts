import type { Logger } from 'pino';
import type { AgentSettings } from '../settings.ts';
import { Daemon } from './daemon.ts';
import { SystemdUnit } from './systemd-unit.ts';

export interface ProgramOptions {
  name: string;
  /** Program and arguments; it must stay in the foreground and keep its process id. */
  command: [string, string[]];
  /** Where the process is noted, so that the next agent finds it. */
  pidFile: string;
  /** Receives standard output and error. A file, because it has to outlive the agent; emptied at each start. */
  logFile: string;
  log: Logger;
}

/** A long-running program that outlives the agent, and is started anew when it dies. */
export interface Program {
  readonly name: string;
  readonly running: boolean;
  /** Its process id while it runs. */
  readonly pid: number | undefined;
  /**
   * Take over the process that an earlier agent started; false when there is none.
   * @param pid where its own files say that it runs, should the agent have died before it noted that itself
   */
  adopt(pid?: number): Promise<boolean>;
  /**
   * Start the program and wait until `ready`.
   * @throws Error with the program's output when it exits, or is not ready within 10 s (it is stopped then)
   */
  start(ready: () => Promise<boolean>): Promise<void>;
  /** @throws Error when it does not run */
  signal(signal: NodeJS.Signals): void;
  /** End it for good. Success when it does not run. */
  stop(): Promise<void>;
  /** Stop watching; the program runs on. */
  release(): void;
  /** Size of its log in bytes, to read from later. */
  outputSize(): Promise<number>;
  /** What it wrote since the log had that size; at most 16 kB of it. */
  outputSince(size: number): Promise<string>;
}

/** A program that the agent watches itself or, where systemd is to, a unit of the program's name. */
export function supervised(
  options: ProgramOptions,
  { supervision }: Pick<AgentSettings, 'supervision'>,
): Program {
  return supervision === 'systemd' ? new SystemdUnit(options) : new Daemon(options);
}
