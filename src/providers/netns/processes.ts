import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { TransientError } from '../../model/errors.ts';
import { namespacePath } from './names.ts';

const END_DEADLINE_MS = 10_000;
const END_POLL_MS = 5;

/**
 * The processes 1 of the amphorae in these named network namespaces, by namespace; one that has ended is missing.
 * Asked of the kernel: what a controller remembers may have died with it, and a process id may be another process by
 * now.
 */
export function initsOf(namespaces: string[]): Map<string, number> {
  const inits = processesOf(namespaces).filter(({ pid }) => {
    // "NSpid: 4711 1": the ids of the process in our PID namespace and in those nested in it.
    const status = attempt(() => readFileSync(`/proc/${pid}/status`, 'utf8'));
    return status !== undefined && /^NSpid:.*\s1$/m.test(status);
  });
  return new Map(inits.map(({ namespace, pid }) => [namespace, pid]));
}

/** The one of a single namespace. */
export function initOf(namespace: string): number | undefined {
  return initsOf([namespace]).get(namespace);
}

function processesOf(namespaces: string[]): { namespace: string; pid: number }[] {
  const names = new Map<string | undefined, string>();
  for (const namespace of namespaces) {
    const inode = attempt(() => statSync(namespacePath(namespace)).ino);
    if (inode !== undefined) names.set(`net:[${inode}]`, namespace);
  }
  return readdirSync('/proc').flatMap((name) => {
    const namespace = /^\d+$/.test(name) && names.get(attempt(() => readlinkSync(`/proc/${name}/ns/net`)));
    return namespace ? [{ namespace, pid: Number(name) }] : [];
  });
}

/** Kill every process of a namespace. Its process 1 takes the rest of the amphora with it. Resolves when all ended. */
export async function killProcessesIn(namespace: string, signal: AbortSignal): Promise<void> {
  const living = () => processesOf([namespace]).map(({ pid }) => pid);
  const pids = living();
  for (const pid of pids) attempt(() => process.kill(pid, 'SIGKILL'));
  const deadline = Date.now() + END_DEADLINE_MS;
  while (pids.some(isRunning) || living().length > 0) {
    if (Date.now() > deadline) {
      throw new TransientError(
        'server_still_running',
        `processes ${pids.filter(isRunning).join(', ')} of ${namespace} do not end although they were killed`,
      );
    }
    await delay(END_POLL_MS, undefined, { signal });
  }
}

/** A zombie has ended; who started it has not asked yet. */
function isRunning(pid: number): boolean {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return stat !== undefined && !/^\d+ \(.*\) [ZX] /s.test(stat);
}

/** Processes come and go between two looks at /proc. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
