import { runAgent } from '../../agent/main.ts';
import { type Command, UsageError } from './command.ts';
import { aborted, terminationSignal } from './termination.ts';

export const command: Command = {
  description:
    'Runs the agent of an amphora. Amphorae start it themselves; by hand it takes the place of the agent of an amphora image ' +
    'of Octavia, with the configuration that is there.',
  settings: [],
  options: {
    config: {
      type: 'string',
      value: 'FILE',
      description: "The agent's settings: JSON, or Octavia's amphora-agent.conf.",
    },
  },
  async run({ options }) {
    if (typeof options.config !== 'string') throw new UsageError('--config FILE is needed');
    const termination = terminationSignal();
    const agent = await runAgent(options.config);
    await aborted(termination);
    await agent.close();
    return 0;
  },
};
