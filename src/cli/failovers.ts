import { type Command, UsageError } from './command.ts';
import { operatorClient, urlOption } from './operator-client.ts';
import { table } from './table.ts';

const PATH = '/v2.0/amphorae/failovers';

type Answer = { failovers: Record<string, unknown> };

export const command: Command = {
  usage: '[status | stop | resume]',
  description:
    'Shows how many amphorae are stale and what the limiter makes of it; stops automatic failovers, or lets them begin\n' +
    'although much is stale. Failovers by request are never held up. Works through the REST API, on its host only.',
  settings: ['listen'],
  options: {
    ...urlOption,
    json: { type: 'boolean', description: 'Print JSON instead of a table.' },
  },
  async run({ config, options, positionals: [verb = 'status', ...others] }) {
    if (!['status', 'stop', 'resume'].includes(verb) || others.length > 0) {
      throw new UsageError(`expected ${command.usage}`);
    }
    const api = await operatorClient(config, options);
    const { failovers } =
      verb === 'status'
        ? await api.call<Answer>('GET', PATH)
        : await api.call<Answer>('POST', `${PATH}/${verb}`);
    const rows = Object.entries(failovers).map(([name, value]) => [name, value]);
    process.stdout.write(
      options.json ? `${JSON.stringify(failovers, null, 2)}\n` : table(['AUTOMATIC FAILOVERS', ''], rows),
    );
    return 0;
  },
};
