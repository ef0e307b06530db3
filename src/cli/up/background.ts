import { join } from 'node:path';
import { type Config, programEnvironment, toEnvironment } from '../../config.ts';
import { freeAddress, urlOf } from './address.ts';
import { answers } from './answers.ts';
import { type Child, type ChildSpec, type DeathSignal, startChild, whenReady } from './child.ts';

/** What `up` started in the background is called in `<data_dir>/logs`. */
export const LOG_NAME = 'up.log';

/** Run `amphorae up` as a process of its own. Resolves with the URL of its API once that answers. */
export async function startUp(
  config: Config,
  deathSignal: DeathSignal,
  signal?: AbortSignal,
): Promise<{ url: string; child: Child }> {
  const listen = await freeAddress(config.listen);
  const spec: ChildSpec = {
    name: 'amphorae up',
    command: [process.execPath, join(import.meta.dirname, '..', 'main.ts'), 'up'],
    env: { ...programEnvironment(), ...toEnvironment({ ...config, listen }) },
    log: join(config.data_dir, 'logs', LOG_NAME),
    deathSignal,
  };
  const child = await startChild(spec);
  const url = urlOf(listen);
  await whenReady(child, spec, 120, () => answers(url), signal);
  return { url, child };
}
