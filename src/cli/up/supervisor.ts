import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { type ClientRequest, get } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Config, programEnvironment } from '../../config.ts';
import { TerminalError } from '../../model/errors.ts';
import { freeAddress, urlOf } from './address.ts';
import { type ChildSpec, dyingWithUs, startChild, whenReady } from './child.ts';
import { keepRunning, type Service } from './keep-running.ts';
import { ownCommand } from './own-command.ts';
import { endPredecessors } from './predecessor.ts';
import { PrivateNats } from './private-nats.ts';
import { PrivatePostgres } from './private-postgres.ts';

const run = promisify(execFile);

/** Connections besides those of the controllers: migrations, and an operator's psql. */
const SPARE_CONNECTIONS = 10;

/** A controller drains (ends or hands over its effects) in this time, or is killed and recovers from its rows. */
const DRAIN_SECONDS = 30;

export interface System {
  /** Where the REST API answers. */
  url: string;
  /** Controllers first, then the broker, then the database. Amphorae go on carrying traffic. */
  stop(): Promise<void>;
}

export interface SupervisorOptions {
  /** Takes one line about each thing that an operator may want to know. */
  say(text: string): void;
  /** Abort to give up starting. */
  signal: AbortSignal;
}

/**
 * Run the whole control plane as children of this process: database and broker (unless the configuration names
 * others), migrations, controllers. Each is started again when it ends. Rejects, with nothing left running, when one
 * of them does not come up the first time.
 */
export async function supervise(config: Config, { say, signal }: SupervisorOptions): Promise<System> {
  mkdirSync(controllerDirectory(config), { recursive: true });
  await endPredecessors('node', controllerDirectory(config), 'SIGKILL');
  const listen = await freeAddress(config.listen);
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  const run = async (service: Service) => {
    signal.throwIfAborted();
    return keepRunning(service, say);
  };

  try {
    let { database_url, nats_url } = config;
    if (!database_url) {
      const postgres = privatePostgres(config);
      stops.push(await run(postgres));
      database_url = postgres.url;
    }
    if (!nats_url) {
      const nats = privateNats(config);
      stops.push(await run(nats));
      nats_url = nats.url;
    }
    signal.throwIfAborted();
    for (const name of await applyMigrations({ ...config, database_url })) say(`migration ${name} applied`);

    const shared = { ...config, listen, database_url, nats_url };
    const stopControllers: (() => Promise<void>)[] = [];
    stops.push(async () => void (await Promise.all(stopControllers.map((each) => each()))));
    for (let number = 1; number <= config.nodes; number += 1) {
      stopControllers.push(await run(controller(shared, number)));
    }
    signal.throwIfAborted();
    return { url: urlOf(listen), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The server that `up` and `down` keep in a data directory. */
export function privatePostgres(config: Config): PrivatePostgres {
  return new PrivatePostgres({
    directory: join(config.data_dir, 'postgres'),
    log: join(config.data_dir, 'logs', 'postgres.log'),
    maxConnections: config.nodes * config.database_connections + SPARE_CONNECTIONS,
    env: programEnvironment(),
  });
}

function privateNats(config: Config): PrivateNats {
  return new PrivateNats({
    directory: join(config.data_dir, 'nats'),
    log: join(config.data_dir, 'logs', 'nats.log'),
    env: programEnvironment(),
  });
}

/** In a process of its own: this one lives on, and has no other use for a database client. */
async function applyMigrations(config: Config): Promise<string[]> {
  const { command, env } = ownCommand('migrate', config);
  const [program, ...args] = [...dyingWithUs('KILL'), ...command];
  try {
    const { stdout } = await run(program as string, args, { env });
    return [...stdout.matchAll(/^applied (.+)$/gm)].map(([, name = '']) => name);
  } catch (cause) {
    const { stderr } = cause as { stderr: string };
    throw new TerminalError(
      'not_migrated',
      `the database could not be brought up to date: ${stderr.trim()}`,
      {
        cause,
      },
    );
  }
}

/** Working directory of our controllers and of nothing else, by which a successor knows them. */
function controllerDirectory(config: Config): string {
  return join(config.data_dir, 'controllers');
}

/** A `serve` process. The first one answers the API; all of them run actors. */
function controller(config: Config, number: number): Service {
  const name = `${config.node_id || 'node'}-${number}`;
  const roles = number === 1 ? ['api', 'controller'] : ['controller'];
  const spec: ChildSpec = {
    name: `controller ${name}`,
    ...ownCommand('serve', { ...config, node_id: name, roles }),
    cwd: controllerDirectory(config),
    log: join(config.data_dir, 'logs', `${name}.log`),
    deathSignal: 'KILL',
  };
  return {
    name: spec.name,
    async start() {
      const child = await startChild(spec);
      if (roles.includes('api')) await whenReady(child, spec, 60, () => answers(urlOf(config.listen)));
      return child;
    },
    stop: (child) => child.stop('SIGTERM', DRAIN_SECONDS),
  };
}

/** true once the API answers; undefined while it answers that it cannot. Rejects when nothing listens. */
function answers(url: string): Promise<true | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { timeout: 2_000, agent: false }, (response) => {
      response.resume();
      resolve((response.statusCode ?? 500) < 500 ? true : undefined);
    })
      .on('timeout', function (this: ClientRequest) {
        this.destroy(new Error(`${url} does not answer`));
      })
      .on('error', reject);
  });
}
