import { runAgent } from '../../agent/main.ts';
import { type Command, UsageError } from './command.ts';

export const command: Command = {
  description:
    'Runs the agent of an amphora. Amphorae start it themselves; there is no need to call it by hand.',
  settings: [],
  options: {
    config: {
      type: 'string',
      value: 'FILE',
      description: 'The agent configuration that the controller wrote.',
    },
  },
  async run({ options }) {
    const path = options.config;
    if (typeof path !== 'string') throw new UsageError('--config FILE is needed');
    await runAgent(path);
    return 0;
  },
};
