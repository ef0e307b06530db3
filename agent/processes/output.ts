import { open, stat } from 'node:fs/promises';

/** Size of a program's log in bytes, to read from later. */
export async function outputSize(logFile: string): Promise<number> {
  return (await stat(logFile)).size;
}

/** What a program wrote since its log had that size; at most 16 kB of it. */
export async function outputSince(logFile: string, size: number): Promise<string> {
  const file = await open(logFile);
  try {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(16_384), position: size });
    return buffer.toString('utf8', 0, bytesRead).trim();
  } finally {
    await file.close();
  }
}
