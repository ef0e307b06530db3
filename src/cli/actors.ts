import { type Command, type Invocation, UsageError } from './command.ts';
import { operatorClient, urlOption } from './operator-client.ts';
import type { RestClient } from './rest-client.ts';
import { span, table } from './table.ts';

const PATH = '/v2.0/amphorae/actors';
/** Everything, and not one page of it. */
const NO_LIMIT = 'limit=0';

type Row = Record<string, unknown>;
type Options = Invocation['options'];

interface Verb {
  /** How many arguments follow it. */
  arguments: number;
  /** What to print: text, or an object as JSON; nothing when undefined. */
  run(api: RestClient, args: string[], options: Options): Promise<string | object | undefined>;
}

const verbs: Record<string, Verb> = {
  list: {
    arguments: 0,
    async run(api, _, options) {
      const query = queryOf(options, ['kind', 'state', 'node', 'partition']);
      if (options.quarantined) query.set('quarantined', 'true');
      if (!options.all) query.set('done', 'false');
      const { actors } = await api.call<{ actors: Row[] }>('GET', `${PATH}?${NO_LIMIT}&${query}`);
      if (options.json) return actors;
      return table(
        ['ID', 'KIND', 'STATE', 'FOR', 'PARTITION', 'NODE', 'QUARANTINED'],
        actors.map((actor) => [
          actor.id,
          actor.kind,
          actor.state,
          span(Number(actor.state_seconds)),
          actor.partition,
          actor.node,
          actor.quarantine_reason,
        ]),
      );
    },
  },
  show: {
    arguments: 1,
    run: async (api, [id]) => (await api.call<{ actor: Row }>('GET', of(id))).actor,
  },
  history: {
    arguments: 1,
    async run(api, [id], options) {
      // The newest, oldest of them first.
      const query = queryOf({ limit: '100', ...options }, ['limit']);
      const { events } = await api.call<{ events: Row[] }>(
        'GET',
        `${of(id)}/history?page_reverse=true&${query}`,
      );
      if (options.json) return events;
      return table(
        ['AT', 'EVENT', 'FROM', 'TO', 'ACTIONS'],
        events.map(({ at, event, from_state, to_state, handled, actions }) => [
          at,
          (event as { type: string }).type,
          from_state,
          handled ? to_state : 'ignored',
          (actions as Row[]).map(inWords).join(', '),
        ]),
      );
    },
  },
  inject: {
    arguments: 2,
    run: (api, [id, type], options) =>
      api.call<object>('POST', `${of(id)}/events`, { event: { ...dataOf(options), type } }),
  },
  resume: { arguments: 1, run: (api, [id]) => api.call<object>('POST', `${of(id)}/resume`) },
  audit: {
    arguments: 0,
    async run(api, _, options) {
      const { audit } = await api.call<{ audit: Row[] }>('GET', `${PATH}/audit?${NO_LIMIT}`);
      if (options.json) return audit;
      return table(
        ['AT', 'WHO', 'WHAT', 'ACTOR', 'WITH'],
        audit.map((entry) => [
          entry.created_at,
          entry.operator,
          entry.action,
          entry.actor_id && `${entry.actor_kind}/${entry.actor_id}`,
          entry.payload,
        ]),
      );
    },
  },
};

const deadLetterVerbs: Record<string, Verb> = {
  list: {
    arguments: 0,
    async run(api, _, options) {
      const { dead_letters: letters } = await api.call<{ dead_letters: Row[] }>(
        'GET',
        `${PATH}/dead-letters?${NO_LIMIT}`,
      );
      if (options.json) return letters;
      return table(
        ['ID', 'DIED', 'ACTOR', 'EVENT', 'ERROR'],
        letters.map(({ id, died_at, actor_kind, actor_id, event, error }) => [
          id,
          died_at,
          `${actor_kind}/${actor_id}`,
          (event as { type: string }).type,
          error,
        ]),
      );
    },
  },
  retry: { arguments: 1, run: (api, [id]) => api.call<object>('POST', `${of(id, 'dead-letters/')}/retry`) },
  drop: { arguments: 1, run: (api, [id]) => api.call<undefined>('DELETE', of(id, 'dead-letters/')) },
};

export const command: Command = {
  usage:
    'list | show ID | history ID | inject ID TYPE | resume ID | audit | dead-letters [list | retry ID | drop ID]',
  description:
    'Look into the actors behind load balancers and amphorae, and move those that need a hand. Works through the REST API,\n' +
    'on the host of the API only. Whatever changes something is recorded: `audit` lists it.',
  settings: ['listen'],
  options: {
    ...urlOption,
    json: { type: 'boolean', description: 'Print JSON instead of a table.' },
    kind: { type: 'string', value: 'KIND', description: 'list: load-balancer or amphora.' },
    state: { type: 'string', value: 'STATE', description: 'list: in this state, as in updating.configSync.' },
    node: { type: 'string', value: 'NODE', description: 'list: of partitions that this node holds.' },
    partition: { type: 'string', value: 'NUMBER', description: 'list: of this partition.' },
    quarantined: { type: 'boolean', description: 'list: only those that are quarantined.' },
    all: { type: 'boolean', description: 'list: also those that have ended.' },
    limit: { type: 'string', value: 'NUMBER', description: 'history: how many events. Default: 100.' },
    data: { type: 'string', value: 'JSON', description: 'inject: the rest of the event, as a JSON object.' },
  },
  async run({ config, options, positionals }) {
    const { verb, args } = parse(positionals);
    const answer = await verb.run(await operatorClient(config, options), args, options);
    if (answer !== undefined) {
      process.stdout.write(typeof answer === 'string' ? answer : `${JSON.stringify(answer, null, 2)}\n`);
    }
    return 0;
  },
};

function parse(positionals: string[]): { verb: Verb; args: string[] } {
  const [first = '', ...rest] = positionals;
  const [table, name, args] =
    first === 'dead-letters' ? [deadLetterVerbs, rest[0] ?? 'list', rest.slice(1)] : [verbs, first, rest];
  const verb = Object.hasOwn(table, name) ? table[name] : undefined;
  if (verb === undefined || args.length !== verb.arguments) throw new UsageError(`expected ${command.usage}`);
  return { verb, args };
}

/** `sent SYNC to amphora/...`, `armed createDeadline in 900 s`. */
function inWords({ to, delayMs, ...action }: Row): string {
  const words = Object.entries(action).flat();
  if (to !== undefined) words.push('to', to);
  if (delayMs !== undefined) words.push('in', span(Number(delayMs) / 1000));
  return words.join(' ');
}

function of(id = '', collection = ''): string {
  return `${PATH}/${collection}${encodeURIComponent(id)}`;
}

function queryOf(options: Options, names: string[]): URLSearchParams {
  const given = names.flatMap((name) => (options[name] === undefined ? [] : [[name, String(options[name])]]));
  return new URLSearchParams(given as [string, string][]);
}

function dataOf({ data }: Options): object {
  if (data === undefined) return {};
  try {
    const parsed: unknown = JSON.parse(String(data));
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  } catch {
    // Said below, as for JSON that is no object.
  }
  throw new UsageError('--data must be a JSON object');
}
