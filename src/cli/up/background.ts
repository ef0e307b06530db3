import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../config.ts';
import { type Child, type ChildSpec, type DeathSignal, startChild, whenReady } from './child.ts';
import { ownCommand } from './own-command.ts';

/** Run `amphorae up` as a process of its own. Resolves with the URL of its API once it is ready. */
export async function startUp(
  config: Config,
  deathSignal: DeathSignal,
  signal?: AbortSignal,
): Promise<{ url: string; child: Child }> {
  const log = join(config.data_dir, 'logs', 'up.log');
  const spec: ChildSpec = {
    name: 'amphorae up',
    ...ownCommand('up', config),
    log,
    deathSignal,
  };
  const logged = existsSync(log) ? statSync(log).size : 0;
  const child = await startChild(spec);
  const readReady = async () => /^ready (\S+)$/m.exec(readFileSync(log).subarray(logged).toString())?.[1];
  return { url: await whenReady(child, spec, 120, readReady, signal), child };
}
