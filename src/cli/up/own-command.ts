import { join } from 'node:path';
import { type Config, programEnvironment, toEnvironment } from '../../config.ts';
import type { ChildSpec } from './child.ts';

const AMPHORAE = join(import.meta.dirname, '../../../bin/amphorae');

/** Where our processes keep code that they have compiled, in the data directory. */
export const CODE_CACHE = 'code-cache';

/** A command of ours as a process of its own, with its settings. */
export function ownCommand(name: string, config: Config): Pick<ChildSpec, 'command' | 'env'> {
  return {
    command: [AMPHORAE, name],
    env: {
      ...programEnvironment(),
      // Without it each process takes a second more to start.
      NODE_COMPILE_CACHE: join(config.data_dir, CODE_CACHE),
      // Not as arguments: the URLs hold passwords, and everyone may read a process's arguments.
      ...toEnvironment(config),
    },
  };
}
