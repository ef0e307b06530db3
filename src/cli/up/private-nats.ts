import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { TerminalError } from '../../model/errors.ts';
import { isTooOld, OLDEST_NATS } from '../nats-version.ts';
import { type Child, type ChildSpec, startChild, whenReady } from './child.ts';
import type { Service } from './keep-running.ts';
import { endPredecessors } from './predecessor.ts';

const execute = promisify(execFile);

export interface NatsOptions {
  /** Where the server keeps its streams and configuration; made when missing. */
  directory: string;
  log: string;
  env: NodeJS.ProcessEnv;
}

/** A nats-server of our own with JetStream, on a port of loopback that only holders of a random password can use. */
export class PrivateNats implements Service {
  readonly name = 'nats-server';
  readonly #options: NatsOptions;
  readonly #password = randomBytes(24).toString('hex');
  /** -1 lets the server choose; a restarted one must be found where the first one was. */
  #port = -1;

  constructor(options: NatsOptions) {
    this.#options = { ...options, directory: resolve(options.directory) };
  }

  /** With the credentials in it; valid once `start` has resolved, and the same after each. */
  get url(): string {
    return `nats://amphorae:${this.#password}@127.0.0.1:${this.#port}`;
  }

  async start(): Promise<Child> {
    const { directory, env, log } = this.#options;
    await checkVersion(env);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    await endPredecessors('nats-server', directory, 'SIGTERM');
    const config = join(directory, 'nats.conf');
    rmSync(config, { force: true }); // the mode below is only for new files
    writeFileSync(config, this.#config(), { mode: 0o600 });

    const run = join(directory, 'run');
    rmSync(run, { recursive: true, force: true });
    mkdirSync(run);
    const command: ChildSpec['command'] = ['nats-server', '--config', config, '--ports_file_dir', run];
    const spec: ChildSpec = { name: this.name, command, env, log, cwd: directory, deathSignal: 'TERM' };
    const child = await startChild(spec);
    const portsFile = join(run, `nats-server_${child.pid}.ports`);
    await whenReady(child, spec, 20, async () => {
      this.#port = await readPort(portsFile);
      await greeting(this.#port);
      return true;
    });
    return child;
  }

  async stop(child: Child): Promise<void> {
    await child.stop('SIGTERM', 10);
  }

  #config(): string {
    return [
      `listen: "127.0.0.1:${this.#port}"`,
      `authorization { user: amphorae, password: "${this.#password}" }`,
      `jetstream { store_dir: ${JSON.stringify(join(this.#options.directory, 'jetstream'))} }`,
      '',
    ].join('\n');
  }
}

/** Resolves when a server speaks first, as nats-server does once it takes clients. */
async function greeting(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'data', { signal: AbortSignal.timeout(2_000) });
  } finally {
    socket.destroy();
  }
}

async function readPort(portsFile: string): Promise<number> {
  const { nats } = JSON.parse(await readFile(portsFile, 'utf8')) as { nats: string[] };
  return Number(new URL(nats[0] as string).port);
}

async function checkVersion(env: NodeJS.ProcessEnv): Promise<void> {
  const { stdout } = await execute('nats-server', ['--version'], { env, timeout: 10_000 }).catch((cause) => {
    throw new TerminalError('no_nats_server', 'nats-server is not installed: run scripts/setup', { cause });
  });
  if (isTooOld(stdout)) {
    throw new TerminalError(
      'nats_server_too_old',
      `nats-server ${OLDEST_NATS} or newer is needed, this is ${stdout.trim()}: install a newer one, or name a server in AMPHORAE_NATS_URL`,
    );
  }
}
