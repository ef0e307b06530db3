import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A file's next content, on disk beside it. Call one of the two. */
export interface StagedFile {
  /** Put it in the file's place. On disk when it resolves. */
  commit(): Promise<void>;
  discard(): Promise<void>;
}

/**
 * Write what is to replace a file, without touching the file. Synced to disk before it resolves. Mode 0600 unless told
 * otherwise.
 */
export async function stageFile(path: string, content: string, mode = 0o600): Promise<StagedFile> {
  const temporary = `${path}.${randomUUID()}`;
  const discard = () => rm(temporary, { force: true });
  const discardAfter = async (error: unknown): Promise<never> => {
    await discard();
    throw error;
  };
  const write = async () => {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  };
  await write().catch(discardAfter);
  return {
    async commit() {
      await rename(temporary, path).catch(discardAfter);
      const directory = await open(dirname(path));
      await directory.sync().finally(() => directory.close());
    },
    discard,
  };
}

/** Replace a file so that a reader, or the next boot after a crash, sees the old or the new content, never a part. */
export async function writeAtomically(path: string, content: string, mode?: number): Promise<void> {
  const staged = await stageFile(path, content, mode);
  await staged.commit();
}

/** Content of a file, or undefined when there is none. */
export async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
