import { type Config, type SettingName, secretSettings, settings } from '../config.ts';
import { TerminalError } from '../model/errors.ts';
import type { Command } from './command.ts';
import { shrinkHeap } from './heap.ts';
import { checkExposure } from './serve/exposure.ts';
import { aborted, terminationSignal } from './termination.ts';
import { lockDataDirectory } from './up/data-directory.ts';
import { settleSettings } from './up/recorded-settings.ts';
import { supervise } from './up/supervisor.ts';

/** No options: `up` gives the roles to each of its controllers, and secrets are nobody's arguments. */
const noOptions: SettingName[] = ['roles', ...secretSettings];

export const command: Command = {
  description:
    'Runs a private PostgreSQL and nats-server, applies migrations, and runs controllers with the REST API, until it is\n' +
    'interrupted. Prints `ready URL` on standard output once the API answers. Its data stays in --data-dir for the next\n' +
    'time, and its load balancers go on carrying traffic in between; `amphorae down` removes them.',
  settings: (Object.keys(settings) as SettingName[]).filter((name) => !noOptions.includes(name)),
  async run({ config }) {
    await runUp(config, terminationSignal(), (url) => process.stdout.write(`ready ${url}\n`));
    return 0;
  },
};

/**
 * Run the control plane until `signal` is aborted. `ready` is called with the URL of the API once it answers.
 * Rejects when the control plane does not come up; nothing of it runs any more then.
 */
export async function runUp(
  wanted: Config,
  signal: AbortSignal,
  ready: (url: string) => void,
): Promise<void> {
  const say = (text: string) => void process.stderr.write(`amphorae: ${text}\n`);
  const lock = await lockDataDirectory(wanted.data_dir);
  try {
    const config = settleSettings(wanted, say);
    checkExposure(config);
    // Policy and Keystone take as much memory as all the rest of this process, which lives as long as they are used.
    if (config.auth !== 'none') (await import('./serve/access.ts')).checkAccess(config);
    if (config.provider === 'netns' && process.getuid?.() !== 0) {
      throw new TerminalError(
        'not_root',
        'network namespaces need root: run as root, or try --provider noop',
      );
    }
    const system = await supervise(config, { signal, say });
    ready(system.url);
    shrinkHeap();
    await aborted(signal);
    await system.stop();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await lock.release();
  }
}
