import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { waitFor } from './wait.ts';

/**
 * End what an earlier supervisor, killed a moment ago, left running: every process of `program` whose working
 * directory is `directory`. Resolves when none is left.
 */
export async function endPredecessors(
  program: string,
  directory: string,
  signal: NodeJS.Signals,
): Promise<void> {
  const alive = () => processesOf(program, directory);
  const gone = () => (alive().length === 0 ? true : undefined);
  kill(alive(), signal);
  await waitFor(`an earlier ${program} to end`, 20, gone).catch(async () => {
    kill(alive(), 'SIGKILL');
    await waitFor(`an earlier ${program} to die`, 5, gone);
  });
}

function processesOf(program: string, directory: string): number[] {
  const home = realpathSync(directory);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && linkOf(pid, 'cwd') === home && basename(linkOf(pid, 'exe')) === program);
}

function linkOf(pid: number, link: 'cwd' | 'exe'): string {
  try {
    return readlinkSync(`/proc/${pid}/${link}`);
  } catch {
    return ''; // it ended meanwhile, or is another user's
  }
}

function kill(pids: number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // it ended meanwhile
    }
  }
}
