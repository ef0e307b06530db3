import { type Command, UsageError } from './command.ts';
import { operatorClient, urlOption } from './operator-client.ts';
import type { RestClient } from './rest-client.ts';
import { table } from './table.ts';
import { waitFor } from './up/wait.ts';

const PATH = '/v2.0/amphorae/nodes';

/** Effects that do not hear that they are to stop are left behind after the time of a lease. */
const DRAIN_SECONDS = 120;

interface Answer {
  nodes: (Record<string, unknown> & { id: string; draining: boolean; partitions: number })[];
  free_partitions: number;
}

export const command: Command = {
  usage: '[list | drain NODE | resume NODE]',
  description:
    'Lists the processes that run actors, and what each has in hand; hands the load balancers of one to the others, before\n' +
    'work on its host for example, and lets it have its share again. Works through the REST API, on its host only.',
  settings: ['listen'],
  options: {
    ...urlOption,
    json: { type: 'boolean', description: 'Print JSON instead of a table.' },
  },
  async run({ config, options, positionals: [verb = 'list', node, ...others] }) {
    const named = verb === 'drain' || verb === 'resume';
    if (!(named || verb === 'list') || (node !== undefined) !== named || others.length > 0) {
      throw new UsageError(`expected ${command.usage}`);
    }
    const api = await operatorClient(config, options);
    if (node !== undefined) await api.call('POST', `${PATH}/${encodeURIComponent(node)}/${verb}`);
    if (verb === 'drain') await handedOver(api, node);
    const answer = await api.call<Answer>('GET', PATH);
    process.stdout.write(options.json ? `${JSON.stringify(answer, null, 2)}\n` : inWords(answer));
    return 0;
  },
};

/** Resolves when a node holds nothing any more. */
async function handedOver(api: RestClient, id: string | undefined): Promise<void> {
  await waitFor(`${id} to hand its partitions over`, DRAIN_SECONDS, async () => {
    const { nodes } = await api.call<Answer>('GET', PATH);
    const node = nodes.find((each) => each.id === id);
    return node === undefined || node.partitions === 0 || undefined;
  });
}

function inWords({ nodes, free_partitions }: Answer): string {
  const rows = nodes.map(({ id, state, answers, partitions, actors, effects, version, since, seen_at }) => [
    ...[id, state, answers ? 'yes' : 'no', partitions, actors, effects, version, since, seen_at],
  ]);
  const listed = table(
    ['NODE', 'STATE', 'ANSWERS', 'PARTITIONS', 'ACTORS', 'EFFECTS', 'VERSION', 'SINCE', 'SEEN'],
    rows,
  );
  return free_partitions > 0 ? `${listed}${free_partitions} partitions belong to nobody\n` : listed;
}
