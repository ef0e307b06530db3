import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'nats';
import pino from 'pino';
import { systemClock } from '../src/actors/clock.ts';
import { NatsBus } from '../src/actors/nats-bus.ts';
import { NatsTracer } from '../src/actors/nats-tracer.ts';
import { natsOptions } from '../src/actors/nats-url.ts';
import { Node, type NodeOptions } from '../src/actors/node.ts';
import { PostgresActorStore } from '../src/actors/postgres-store.ts';
import { loadConfig } from '../src/config.ts';
import { machinesWith } from '../src/machines/registry.ts';
import { openDatabase } from '../src/store/database.ts';
import { compileRowChanges } from '../src/store/row-changes.ts';
import { hangingEffects, instantEffects } from './effects.ts';
import type { Servers } from './servers.ts';

export interface NodeProcessOptions {
  servers: Pick<Servers, 'databaseUrl' | 'natsUrl'>;
  name: string;
  /** What effects do: answer at once, or never. */
  effects: 'instant' | 'hanging';
  leaseMs?: number;
}

export interface NodeProcess {
  /** Proportional share of its memory, in MiB. */
  memory(): number;
  /** End it as a power failure would. */
  kill(): Promise<void>;
}

const HOUR = 3_600_000;

/** Those with which the command runs. */
const NODE_OPTIONS =
  readFileSync(new URL('../bin/amphorae', import.meta.url), 'utf8').match(/--[a-z-]+=\d+/g) ?? [];

/** A node that runs actors, in a process of its own; resolves when it holds its partitions. It ends with us. */
export async function startNodeProcess(options: NodeProcessOptions): Promise<NodeProcess> {
  const child = fork(import.meta.filename, {
    execArgv: NODE_OPTIONS,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const { databaseUrl, natsUrl } = options.servers;
  child.send({ ...options, servers: { databaseUrl, natsUrl } });
  const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
  if (message !== 'ready') throw new Error(`the node ended with ${message}`);
  return { memory: () => memoryOf(child.pid), kill: () => kill(child) };
}

/** Proportional set size in MiB: pages that processes share are counted by their share. */
export function memoryOf(pid: number | undefined): number {
  return mebibytes(pid, 'Pss');
}

/** What a process takes of the pages that it shares, in MiB: without it, they would be the others'. */
export function sharedMemoryOf(pid: number): number {
  return mebibytes(pid, 'Pss') - mebibytes(pid, 'Private_Clean') - mebibytes(pid, 'Private_Dirty');
}

function mebibytes(pid: number | undefined, field: string): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) / 1024;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** With the sizes that `amphorae serve` has by default. */
async function run({ servers, name, effects, leaseMs }: NodeProcessOptions): Promise<void> {
  const config = loadConfig({}, {});
  const { pool } = openDatabase(servers.databaseUrl, {
    maxConnections: config.database_connections,
    applicationName: name,
  });
  const log = pino({ level: 'error' }, pino.destination(2));
  const options: NodeOptions = {
    node: name,
    leaseMs: leaseMs ?? config.lease_seconds * 1000,
    sweepMs: config.sweep_seconds * 1000,
    cacheSize: config.actor_cache,
    effectConcurrency: config.effect_concurrency,
    providerConcurrency: config.provider_concurrency,
  };
  const nats = await connect(natsOptions(servers.natsUrl));
  const node = new Node(
    {
      store: new PostgresActorStore(pool, compileRowChanges),
      bus: new NatsBus(nats, log),
      clock: systemClock,
      machines: machinesWith({
        create: HOUR,
        update: HOUR,
        failover: HOUR,
        delete: HOUR,
        boot: HOUR,
        step: HOUR,
        portGrace: HOUR,
        syncGrace: HOUR,
      }),
      effects: effects === 'instant' ? instantEffects : hangingEffects,
      tracer: new NatsTracer(nats, name, log),
      log,
    },
    options,
  );
  await node.start();
  process.send?.('ready');
}

if (process.argv[1] === import.meta.filename) {
  process.once('disconnect', () => process.exit());
  process.once('message', (options) => void run(options as NodeProcessOptions));
}
