import { join } from 'node:path';
import { readOptional, writeAtomically } from '../files.ts';

/** How often this amphora's agent was started, this time included: on disk before the number is used. */
export async function countStart(stateDir: string): Promise<number> {
  const path = join(stateDir, 'starts');
  const start = Number((await readOptional(path)) ?? 0) + 1;
  await writeAtomically(path, String(start));
  return start;
}
