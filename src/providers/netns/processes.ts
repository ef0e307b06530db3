import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { TransientError } from '../../model/errors.ts';
import { namespacePath } from './names.ts';

const END_DEADLINE_MS = 10_000;
const END_POLL_MS = 5;
const PARENT_PATIENCE_MS = 500;

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

/**
 * End every process of a namespace. Process 1 of an amphora takes with it the rest of the amphora, also what is in
 * other network namespaces. Resolves when all have ended.
 */
export async function killProcessesIn(namespace: string, signal: AbortSignal): Promise<void> {
  const pids = processesOf([namespace]).map(({ pid }) => pid);
  const init = initOf(namespace);
  // Whoever started process 1 waits for it and then ends by itself; killed, it would leave a zombie to others.
  const parent = init === undefined ? undefined : parentOf(init);
  kill(pids.filter((pid) => pid !== parent));
  const started = Date.now();
  for (;;) {
    const running = new Set([...pids.filter(isRunning), ...processesOf([namespace]).map(({ pid }) => pid)]);
    if (running.size === 0) return;
    const waited = Date.now() - started;
    if (waited > END_DEADLINE_MS) {
      throw new TransientError(
        'server_still_running',
        `processes ${[...running].join(', ')} of ${namespace} do not end although they were killed`,
      );
    }
    if (waited > PARENT_PATIENCE_MS) kill(running);
    await delay(END_POLL_MS, undefined, { signal });
  }
}

function kill(pids: Iterable<number>): void {
  for (const pid of pids) attempt(() => process.kill(pid, 'SIGKILL'));
}

function parentOf(pid: number): number | undefined {
  const status = attempt(() => readFileSync(`/proc/${pid}/status`, 'utf8')) ?? '';
  const parent = /^PPid:\s+(\d+)$/m.exec(status)?.[1];
  return parent === undefined ? undefined : Number(parent);
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
