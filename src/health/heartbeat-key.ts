import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Its file in the data directory. */
export const HEARTBEAT_KEY_FILE = 'heartbeat.key';

/**
 * The key that signs heartbeats, from a file of the data directory (0600). The first process to ask makes it, and all
 * controller processes of the host share it.
 */
export function openHeartbeatKey(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, HEARTBEAT_KEY_FILE);
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, randomBytes(32).toString('hex'), { mode: 0o600 });
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft);
  }
  return readFileSync(path, 'utf8').trim();
}
