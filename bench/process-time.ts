import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second; 100 on every Linux that Node runs on. */
const TICKS = 100;

interface ProcessTime {
  parent: number;
  ticks: number;
}

/** CPU time, in milliseconds, that these processes and all below them have used so far, with children that ended. */
export function cpuMilliseconds(roots: Iterable<number>): number {
  const table = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => {
        const time = read(Number(name));
        return time ? [[Number(name), time] as const] : [];
      }),
  );
  const wanted = new Set(roots);
  // Parents come before their children only by chance: repeat until no more are found.
  for (let size = -1; size !== wanted.size; ) {
    size = wanted.size;
    for (const [pid, { parent }] of table) if (wanted.has(parent)) wanted.add(pid);
  }
  const ticks = [...wanted].reduce((sum, pid) => sum + (table.get(pid)?.ticks ?? 0), 0);
  return (ticks * 1000) / TICKS;
}

/** Fields of /proc/<pid>/stat after the name, which is in parentheses and may hold anything (proc(5)). */
function read(pid: number): ProcessTime | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [parent = 0, user = 0, system = 0, childUser = 0, childSystem = 0] = [1, 11, 12, 13, 14].map(
      (index) => fields[index],
    );
    return { parent, ticks: user + system + childUser + childSystem };
  } catch {
    return undefined; // it ended
  }
}
