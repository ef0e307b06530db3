import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { TerminalError } from '../../model/errors.ts';

/** Held by the one process that may work in a data directory. */
export interface DataDirectoryLock {
  release(): Promise<void>;
}

/**
 * Make a data directory where needed and lock it. The lock is an abstract socket: the kernel frees it however its
 * holder dies, and nothing stale can stay behind. `up.pid` in the directory names the holder.
 * @throws TerminalError `data_dir_in_use`
 */
export async function lockDataDirectory(path: string): Promise<DataDirectoryLock> {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const name = createHash('sha256').update(realpathSync(path)).digest('hex').slice(0, 32);
  const socket = createServer();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (cause) => {
      const holder = holderOf(path);
      const pid = holder === undefined ? 'another process' : `process ${holder}`;
      reject(
        new TerminalError(
          'data_dir_in_use',
          `${path} is in use by ${pid}; stop it, or choose another --data-dir`,
          { cause },
        ),
      );
    });
    socket.listen(`\0amphorae-${name}`, resolve);
  });
  const pidFile = join(path, 'up.pid');
  writeFileSync(pidFile, `${process.pid}\n`);
  return {
    release() {
      rmSync(pidFile, { force: true });
      return new Promise((resolve) => socket.close(() => resolve()));
    },
  };
}

/** Process id of the last holder; only meaningful while the lock is taken. */
export function holderOf(path: string): number | undefined {
  try {
    return Number(readFileSync(join(path, 'up.pid'), 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}
