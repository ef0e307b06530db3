import { runAgent } from '../../agent/main.ts';
import { readSettings } from '../../agent/settings.ts';
import { type Command, UsageError } from './command.ts';
import { aborted, terminationSignal } from './termination.ts';

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
    if (typeof options.config !== 'string') throw new UsageError('--config FILE is needed');
    const termination = terminationSignal();
    const agent = await runAgent(readSettings(options.config));
    await aborted(termination);
    await agent.close();
    return 0;
  },
};
