import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { TerminalError, TransientError } from '../../model/errors.ts';

/**
 * Environment of every program that the provider starts. Not this process's own, which may hold passwords and whose
 * PATH may lack the directories of system tools.
 */
export const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};

/** One `ip` subcommand, as words: `['link', 'set', 'eth0', 'up']`. */
export type IpCommand = readonly (string | number)[];

export interface IpOptions {
  /** Named network namespace to work in; default: the host's. */
  namespace?: string | undefined;
  /** Process in whose mount namespace `namespace` has its name; default: the host's. */
  mountOf?: number | undefined;
  /** Messages of commands that may fail; the commands after them still run. */
  tolerate?: RegExp | undefined;
  signal?: AbortSignal | undefined;
}

/** What `ip` says of something that is not there. */
export const ABSENT = /Cannot find device|No such file or directory|does not exist/;
/** What `ip` says of something that is there already. */
export const PRESENT = /File exists/;

/** Changes of links take milliseconds; they wait only where the kernel's lock for them is held for long. */
const TIMEOUT_MS = 20_000;

export interface Ip {
  /** Run commands in one process, in order, up to the first that fails in an untolerated way. */
  batch(commands: IpCommand[], options?: IpOptions): Promise<void>;
  /** Run a query and return what it prints as JSON. */
  query(command: IpCommand, options?: IpOptions): Promise<unknown>;
}

/** `ip` of iproute2. Failures are TransientError `link_failed`, or TerminalError where trying again cannot help. */
export const ip: Ip = {
  async batch(commands, options = {}) {
    if (commands.length === 0) return;
    const force = options.tolerate ? ['-force'] : [];
    const { failed, stderr } = await run([...force, '-batch', '-'], options, commands.map(toLine).join('\n'));
    if (!failed) return;
    const complaints = stderr
      .split('\n')
      .filter((line) => line && !/^Command failed -:\d+$/.test(line) && !options.tolerate?.test(line));
    if (complaints.length > 0 || !options.tolerate) throw ipFailed(commands, complaints.join('; '));
  },
  async query(command, options = {}) {
    const { failed, stdout, stderr } = await run(['-json', ...command.map(String)], options);
    if (!failed) return JSON.parse(stdout || '[]');
    if (options.tolerate?.test(stderr)) return [];
    throw ipFailed([command], stderr.trim());
  },
};

/** Whether a link of that name is in the host's namespace. Costs no process. */
export function linkExists(name: string): boolean {
  return existsSync(`/sys/class/net/${name}`);
}

/** Words of a batch line are separated by blanks; a word that is not plain is quoted, or refused. */
function toLine(command: IpCommand): string {
  return command
    .map(String)
    .map((word) => {
      if (/^[\w.:/@%-]+$/.test(word)) return word;
      if (/^[\w .:/@%-]+$/.test(word)) return `"${word}"`;
      throw new TerminalError('invalid_link_word', `${JSON.stringify(word)} cannot be part of an ip command`);
    })
    .join(' ');
}

interface Result {
  failed: boolean;
  stdout: string;
  stderr: string;
}

function run(args: string[], options: IpOptions, input = ''): Promise<Result> {
  const inNamespace = options.namespace === undefined ? args : ['-netns', options.namespace, ...args];
  const [file, ...rest] =
    options.mountOf === undefined
      ? ['ip', ...inNamespace]
      : ['nsenter', '--target', String(options.mountOf), '--mount', 'ip', ...inNamespace];
  return new Promise((resolve, reject) => {
    const child = execFile(
      file as string,
      rest,
      { signal: options.signal, timeout: TIMEOUT_MS, maxBuffer: 16 << 20, env: ENVIRONMENT },
      (error, stdout, stderr) => {
        if (error === null) resolve({ failed: false, stdout, stderr });
        else if (error.name === 'AbortError') reject(error);
        else if (error.code === 'ENOENT') {
          reject(
            new TerminalError('ip_missing', `${file} is not installed; install iproute2 and util-linux`),
          );
        } else if (error.killed) {
          reject(
            new TransientError('link_timeout', `ip took longer than ${TIMEOUT_MS / 1000} s`, {
              cause: error,
            }),
          );
        } else resolve({ failed: true, stdout, stderr });
      },
    );
    // A process that ends before it has read everything says why on stderr.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

function ipFailed(commands: IpCommand[], complaint: string) {
  const what = `ip ${commands.map((command) => command.join(' ')).join('; ')}: ${complaint}`;
  return /Operation not permitted|Permission denied/.test(complaint)
    ? new TerminalError('not_permitted', `this host's network cannot be changed; run as root. ${what}`)
    : new TransientError('link_failed', what);
}
