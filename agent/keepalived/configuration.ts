import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandError } from '../command.ts';
import { AgentError } from '../errors.ts';
import { readOptional, writeAtomically } from '../files.ts';
import type { Namespace } from '../namespace.ts';
import type { AgentSettings } from '../settings.ts';

interface Checker {
  namespace: Namespace;
  settings: Pick<AgentSettings, 'keepalived_path'>;
}

/**
 * Store a configuration of keepalived at `path`, once keepalived itself has checked it. What is stored already is not
 * checked again.
 * @throws AgentError 400 with keepalived's words; what was stored before stays, and what was refused lies beside it
 */
export async function storeConfiguration(
  { namespace, settings }: Checker,
  path: string,
  config: string,
): Promise<void> {
  if (config === (await readOptional(path))) return;
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const candidate = `${path}.new`;
  await writeAtomically(candidate, config);
  try {
    await namespace.run(settings.keepalived_path, ['--config-test', `--use-file=${candidate}`]);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    await rename(candidate, `${path}.rejected`);
    throw new AgentError(400, 'Invalid request', { details: error.output, cause: error });
  }
  await rename(candidate, path);
}
