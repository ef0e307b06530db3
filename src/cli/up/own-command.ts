import { join } from 'node:path';
import { type Config, programEnvironment, toEnvironment } from '../../config.ts';
import type { ChildSpec } from './child.ts';

/**
 * What Node.js holds besides what we use: by default it lets garbage grow to four times of that before it collects, and
 * 48 MiB of young objects. A third of the memory costs a tenth more time.
 */
export const NODE_OPTIONS = ['--max-semi-space-size=8', '--heap-growing-percent=40'];

/** Where our processes keep code that they have compiled, in the data directory. */
export const CODE_CACHE = 'code-cache';

/** A command of ours as a process of its own, with its settings. */
export function ownCommand(name: string, config: Config): Pick<ChildSpec, 'command' | 'env'> {
  return {
    command: [process.execPath, ...NODE_OPTIONS, join(import.meta.dirname, '..', 'main.ts'), name],
    env: {
      ...programEnvironment(),
      // Without it each process takes two seconds and twenty mebibytes more, to strip types and compile.
      NODE_COMPILE_CACHE: join(config.data_dir, CODE_CACHE),
      // Not as arguments: the URLs hold passwords, and everyone may read a process's arguments.
      ...toEnvironment(config),
    },
  };
}
