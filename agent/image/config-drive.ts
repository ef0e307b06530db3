import { readFileSync } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';

/** A file that the cloud has for this machine. */
export interface DeliveredFile {
  path: string;
  content: Buffer;
  mode: number;
}

const AbsolutePath = z
  .string()
  .refine((path) => path.startsWith('/') && normalize(path) === path, 'must be absolute');

const MetaData = z.object({
  files: z.array(z.object({ path: AbsolutePath, content_path: AbsolutePath })).default([]),
});

const CloudConfig = z.object({
  write_files: z
    .array(
      z.object({
        path: AbsolutePath,
        content: z.string().default(''),
        encoding: z.enum(['b64', 'base64', 'text/plain']).default('text/plain'),
        permissions: z
          .string()
          .regex(/^0?[0-7]{3}$/)
          .default('0600'),
      }),
    )
    .default([]),
});

/**
 * Files on an OpenStack config drive, mounted at `directory`: those that Nova was given (`personality`, contract F3), and
 * those of a `#cloud-config` in the user data. Without cloud-init, so that nothing else in there has any effect.
 * @throws Error when the drive is not what OpenStack makes
 */
export function readConfigDrive(directory: string): DeliveredFile[] {
  const read = (path: string) => readFileSync(join(directory, 'openstack', path));
  const { files } = MetaData.parse(JSON.parse(read('latest/meta_data.json').toString()));
  const injected = files.map(({ path, content_path }) => ({
    path,
    content: read(content_path),
    mode: 0o600,
  }));
  return [...injected, ...fromUserData(userData(directory))];
}

function userData(directory: string): string {
  try {
    return readFileSync(join(directory, 'openstack/latest/user_data'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function fromUserData(text: string): DeliveredFile[] {
  if (!text.startsWith('#cloud-config')) return [];
  const { write_files } = CloudConfig.parse(parse(text));
  return write_files.map(({ path, content, encoding, permissions }) => ({
    path,
    content: Buffer.from(content, encoding === 'text/plain' ? 'utf8' : 'base64'),
    mode: Number.parseInt(permissions, 8),
  }));
}

/** Write what is not there yet: what has been replaced since the first boot stays. Resolves with the paths written. */
export async function deliver(files: readonly DeliveredFile[], root = '/'): Promise<string[]> {
  const written: string[] = [];
  for (const { path, content, mode } of files) {
    const target = join(root, path);
    const exists = await stat(target).then(
      () => true,
      () => false,
    );
    if (exists) continue;
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await writeFile(target, content, { mode });
    written.push(path);
  }
  return written;
}

if (import.meta.main) {
  const [, , directory] = process.argv;
  if (!directory) throw new Error('usage: node config-drive.mjs DIRECTORY');
  const written = await deliver(readConfigDrive(directory));
  process.stdout.write(`written: ${written.join(', ') || 'nothing'}\n`);
}
