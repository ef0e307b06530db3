import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TerminalError } from '../../model/errors.ts';
import { waitFor } from './wait.ts';

/** Sent to a child by the kernel when this process dies, however it dies. `none`: the child lives on. */
export type DeathSignal = 'TERM' | 'INT' | 'KILL' | 'none';

export interface ChildSpec {
  /** What people call it, in messages. */
  name: string;
  /** Program and arguments; looked up in the PATH of `env`. */
  command: [string, ...string[]];
  env: NodeJS.ProcessEnv;
  cwd?: string;
  /** File that receives what it prints, appended. */
  log: string;
  deathSignal: DeathSignal;
  /** Run as an ordinary user in the eyes of the program; needed by those that refuse root. */
  disguiseRoot?: boolean;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Resolves, never rejects, with how it ended (`exit code 1`, `signal SIGKILL`, the reason it did not start). */
  readonly exited: Promise<string>;
  /** Ask it to end with `signal`; after `graceSeconds` kill it. Resolves when it is gone. */
  stop(signal: NodeJS.Signals, graceSeconds: number): Promise<void>;
  /** Let this process end before it. */
  release(): void;
}

/**
 * Start a program that, unless told otherwise, cannot outlive this process. It leads a session of its own, so that Ctrl-C in a terminal
 * reaches only us and we decide the order in which things stop.
 * @throws TerminalError `no_such_program`
 */
export async function startChild(spec: ChildSpec): Promise<Child> {
  mkdirSync(dirname(spec.log), { recursive: true });
  const log = openSync(spec.log, 'a', 0o600);
  // Inside the disguise: changing the user clears the death signal.
  const command = [...dyingWithUs(spec.deathSignal), ...spec.command];
  const [program, ...args] = spec.disguiseRoot ? asDaemonIfRoot(command) : command;
  const child = spawn(program as string, args, {
    cwd: spec.cwd,
    env: spec.env,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const exited = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
    child.once('error', (error) => resolve(error.message));
  });
  const { pid } = child;
  if (pid === undefined) {
    throw new TerminalError(
      'no_such_program',
      `cannot start ${spec.name}: ${await exited}; run scripts/setup`,
    );
  }

  return {
    name: spec.name,
    pid,
    exited,
    async stop(signal, graceSeconds) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceSeconds * 1000);
      await exited;
      clearTimeout(timer);
    },
    release: () => child.unref(),
  };
}

/**
 * A command as root's that programs which refuse root accept: in a user namespace where root is called `daemon` (uid 1
 * on every Linux distribution). Files stay root's, no account is made, and a checkout that only root may read will do.
 */
export function asDaemonIfRoot(command: string[]): string[] {
  return process.getuid?.() === 0
    ? ['unshare', '--user', '--map-user=1', '--map-group=1', ...command]
    : command;
}

/** Put before a command that must not outlive us. */
export function dyingWithUs(signal: DeathSignal): string[] {
  return signal === 'none' ? [] : ['setpriv', '--pdeathsig', signal];
}

/**
 * Wait until a child answers `probe`; give up as soon as it ends.
 * @throws TerminalError `not_started` with the end of its log.
 */
export async function whenReady<T>(
  child: Child,
  spec: ChildSpec,
  seconds: number,
  probe: () => Promise<T | undefined>,
  signal?: AbortSignal,
): Promise<T> {
  const ended = new AbortController();
  const exit = child.exited.then((how): never => {
    ended.abort();
    throw new Error(`ended with ${how}`);
  });
  try {
    return await Promise.race([
      waitFor(
        `${spec.name} to answer`,
        seconds,
        probe,
        AbortSignal.any([ended.signal, ...(signal ? [signal] : [])]),
      ),
      exit,
    ]);
  } catch (cause) {
    ended.abort();
    await child.stop('SIGTERM', signal?.aborted ? 30 : 1);
    signal?.throwIfAborted();
    const tail = (await readFile(spec.log, 'utf8').catch(() => ''))
      .trimEnd()
      .split('\n')
      .slice(-5)
      .join('\n');
    const reason = (cause as Error).message;
    throw new TerminalError(
      'not_started',
      `${spec.name} did not start: ${reason}. Its log ${spec.log} ends with\n${tail}`,
      { cause },
    );
  } finally {
    exit.catch(() => {});
  }
}
