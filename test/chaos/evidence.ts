import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Site } from './site.ts';

/** Keep what is needed to find out why a promise was broken: the logs, and the history of every actor. Returns where. */
export async function keepEvidence({ db, system }: Site): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-chaos-'));
  cpSync(join(system.dataDir, 'logs'), join(directory, 'logs'), { recursive: true });
  const history = await db.selectFrom('actor_events').selectAll().orderBy('seq').execute();
  writeFileSync(
    join(directory, 'history.jsonl'),
    history.map((event) => `${JSON.stringify(event)}\n`).join(''),
  );
  return directory;
}
