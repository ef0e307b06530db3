import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TerminalError, TransientError } from '../../model/errors.ts';
import { AGENT_SETTINGS_FILE } from '../compute.ts';
import { ENVIRONMENT } from './ip.ts';

const BOOT = fileURLToPath(new URL('boot.sh', import.meta.url));
const START_DEADLINE_MS = 15_000;

/** What runs as process 1 of an amphora: the agent's init with the agent of this checkout. */
export const AGENT_COMMAND = [
  fileURLToPath(new URL('../../../agent/init', import.meta.url)),
  process.execPath,
  fileURLToPath(new URL('../../../agent/main.ts', import.meta.url)),
  AGENT_SETTINGS_FILE,
];

export interface ServerProcess {
  /** Network namespace that it runs in; must exist. */
  namespace: string;
  /** Directory on the host: `state` becomes the amphora's /var/lib/octavia, `agent.log` gets its output. */
  directory: string;
  /** Directory on the host for compiled code. */
  codeCache: string;
  hostname: string;
  /** Absolute path below /etc/octavia -> content. */
  files: Record<string, string>;
  command: readonly string[];
}

/**
 * Start an amphora's processes in PID, mount, UTS and IPC namespaces of their own, detached from this process.
 * Resolves when its process 1 runs. Its files never touch a disk.
 * @throws TransientError `boot_failed` with the end of its log, TerminalError `invalid_file`
 */
export async function startServerProcess(server: ServerProcess, signal: AbortSignal): Promise<void> {
  const input = encodeFiles(server.files);
  const state = join(server.directory, 'state');
  await mkdir(state, { recursive: true, mode: 0o700 });
  const logPath = join(server.directory, 'agent.log');
  const log = await open(logPath, 'a', 0o600);
  try {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(START_DEADLINE_MS)]);
    const isolated = ['unshare', '--mount', '--pid', '--uts', '--ipc', '--fork', '--mount-proc'];
    const child = spawn(
      'ip',
      ['netns', 'exec', server.namespace, ...isolated, BOOT, server.hostname, ...server.command],
      {
        cwd: state,
        env: { ...ENVIRONMENT, NODE_COMPILE_CACHE: server.codeCache },
        stdio: ['pipe', log.fd, log.fd, 'pipe'],
        detached: true,
      },
    );
    child.unref();
    await once(child, 'spawn', { signal: deadline });
    await handOver(input, child.stdio[0] as Writable, child.stdio[3] as Readable, deadline);
  } catch (error) {
    if (signal.aborted) throw error;
    const said = (await readFile(logPath, 'utf8')).trimEnd().split('\n').slice(-5).join('; ');
    throw new TransientError(
      'boot_failed',
      `amphora ${server.hostname} did not start, see ${logPath}: ${said}`,
      {
        cause: error,
      },
    );
  } finally {
    await log.close();
  }
}

async function handOver(
  input: Buffer,
  stdin: Writable,
  report: Readable,
  signal: AbortSignal,
): Promise<void> {
  try {
    // A process that ends before it has read everything is noticed by the missing report.
    stdin.on('error', () => {});
    stdin.end(input);
    // Its descendants keep the other end open, so the end of the stream says nothing; the first word does.
    const [word] = await Promise.race([once(report, 'data', { signal }), once(report, 'end', { signal })]);
    if (word === undefined) throw new Error('it ended before its command started');
  } finally {
    stdin.destroy();
    report.destroy();
  }
}

/** See boot.sh for the format. */
function encodeFiles(files: Record<string, string>): Buffer {
  const chunks = Object.entries(files).flatMap(([path, content]) => {
    // Below /etc/octavia is memory; elsewhere is the host's disk.
    if (!/^\/etc\/octavia(\/(?!\.)[\w.-]+)+$/.test(path)) {
      throw new TerminalError(
        'invalid_file',
        `an amphora's files lie below /etc/octavia; ${JSON.stringify(path)} does not`,
      );
    }
    const body = Buffer.from(content);
    return [Buffer.from(`${body.length} ${path}\n`), body];
  });
  return Buffer.concat([...chunks, Buffer.from('0 end\n')]);
}
