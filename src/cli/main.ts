import packageJson from '../../package.json' with { type: 'json' };
import { ConfigError } from '../config.ts';
import { AmphoraeError } from '../model/errors.ts';
import { type Command, helpOf, parseInvocation, UsageError } from './command.ts';

interface Entry {
  summary: string;
  /** Commands are loaded when they are used: an agent has no need of a database client. */
  load: () => Promise<{ command: Command }>;
}

const commands: Record<string, Entry> = {
  up: {
    summary: 'run everything on this host: database, broker, controllers, REST API',
    load: () => import('./up.ts'),
  },
  down: { summary: 'stop `up` and remove all it made', load: () => import('./down.ts') },
  demo: {
    summary: 'show a load balancer that carries real traffic, then remove it',
    load: () => import('./demo.ts'),
  },
  doctor: { summary: 'check every requirement and say how to fix it', load: () => import('./doctor.ts') },
  network: {
    summary: 'create, list and delete networks of the netns provider',
    load: () => import('./network.ts'),
  },
  actors: {
    summary: 'look into the actors behind load balancers, and move those that need a hand',
    load: () => import('./actors.ts'),
  },
  failovers: {
    summary: 'see, stop and resume the failovers that nobody asked for',
    load: () => import('./failovers.ts'),
  },
  nodes: {
    summary: 'list the processes that run actors, drain and resume them',
    load: () => import('./nodes.ts'),
  },
  serve: {
    summary: 'run one process against your own PostgreSQL and NATS',
    load: () => import('./serve.ts'),
  },
  migrate: { summary: 'bring the database schema up to date', load: () => import('./migrate.ts') },
  agent: { summary: 'run inside an amphora and obey its controller', load: () => import('./agent.ts') },
};

const overview = [
  'amphorae COMMAND [options]',
  '',
  ...Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`),
  '  help      this overview; `amphorae COMMAND --help` for one command',
  '  version   the version',
  '',
].join('\n');

/** Exit codes: 0 done, 1 failed, 2 the command line or a setting is wrong. */
async function main([name = 'help', ...args]: string[]): Promise<number> {
  if (['help', '--help', '-h'].includes(name)) return print(overview);
  if (['version', '--version', '-v'].includes(name)) return print(`${packageJson.version}\n`);
  const entry = commands[name];
  if (!entry) throw new UsageError(`unknown command ${name}; \`amphorae help\` lists them`);
  const { command } = await entry.load();
  const invocation = parseInvocation(command, args);
  return invocation ? command.run(invocation) : print(helpOf(name, command));
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** Failures that we foresaw are a message; anything else is a defect, and its stack says where. */
function report(error: unknown): number {
  const usage = error instanceof UsageError || error instanceof ConfigError;
  const expected = usage || error instanceof AmphoraeError;
  const text = error instanceof Error ? (expected ? error.message : error.stack) : String(error);
  process.stderr.write(`amphorae: ${text}\n`);
  return usage ? 2 : 1;
}

// Whoever reads our output may leave early (`| head`); what we began must still be finished, and cleaned up.
process.stdout.on('error', () => {});

process.exitCode = await main(process.argv.slice(2)).catch(report);
