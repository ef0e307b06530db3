import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection } from 'nats';
import pino from 'pino';
import { systemClock } from '../../src/actors/clock.ts';
import { Mailbox } from '../../src/actors/mailbox.ts';
import { NatsBus } from '../../src/actors/nats-bus.ts';
import { NatsControl } from '../../src/actors/nats-control.ts';
import { NatsTracer } from '../../src/actors/nats-tracer.ts';
import { natsOptions } from '../../src/actors/nats-url.ts';
import { Node, type NodeParts } from '../../src/actors/node.ts';
import { PostgresActorStore } from '../../src/actors/postgres-store.ts';
import { type Config, loadConfig, programEnvironment } from '../../src/config.ts';
import { CertificateAuthority } from '../../src/effects/certificate-authority.ts';
import { createEffects } from '../../src/effects/effects.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { type Machines, machinesWith } from '../../src/machines/registry.ts';
import type { Topology } from '../../src/model/status.ts';
import { createNoopProvider } from '../../src/providers/noop/provider.ts';
import { FileStore } from '../../src/secrets/file-store.ts';
import type { SecretStore } from '../../src/secrets/secret-store.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { compileRowChanges } from '../../src/store/row-changes.ts';
import { startTestNats, type TestNats } from './nats.ts';
import { startTestPostgres } from './postgres.ts';

/** A real store and broker with the noop provider, to which nodes are added as a test needs them. */
export interface Runtime {
  db: Db;
  /** The broker, and a connection to it. */
  broker: TestNats;
  nats: NatsConnection;
  mailbox: Mailbox;
  provider: ReturnType<typeof createNoopProvider>;
  /** What `file:NAME` means, to nodes and whoever else needs it. */
  secrets: { store: SecretStore; directory: string };
  startNode(name: string, options?: NodeTestOptions): Promise<Node>;
  /** Store a load balancer as the API does, and bring its actor to life. */
  createLoadBalancer(options?: { topology?: Topology; listeners?: number }): Promise<string>;
  /** Its provisioning status, once it is one of those given. */
  waitFor(loadBalancerId: string, statuses: string[], ms?: number): Promise<string>;
  stop(): Promise<void>;
}

export interface NodeTestOptions {
  config?: Partial<Config>;
  /** Longer than a test waits: what it sees is not due to a renewal. */
  leaseMs?: number;
  /** Replace or wrap the effects. */
  effects?: (effects: Effects) => Effects;
  /** Replace the charts. */
  machines?: (machines: Machines) => NodeParts['machines'];
}

export async function startRuntime(): Promise<Runtime> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    const postgres = await startTestPostgres();
    stops.push(() => postgres.stop());
    const broker = await startTestNats();
    stops.push(() => broker.stop());
    const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
    stops.push(async () => rmSync(directory, { recursive: true }));
    const log = pino({ level: 'error' });
    const { db, close } = openDatabase(postgres.url, { maxConnections: 4, applicationName: 'test' });
    stops.push(close);
    const nats = await connect(patient(broker.url));
    stops.push(() => nats.close());
    const mailbox = new Mailbox(new NatsBus(nats, log));
    const authority = await CertificateAuthority.open(directory);
    const secretsDirectory = join(directory, 'secrets');
    mkdirSync(secretsDirectory);
    const secrets = new FileStore({ directory: secretsDirectory, env: programEnvironment() });
    const provider = createNoopProvider();

    const startNode = async (
      name: string,
      {
        config: changes = {},
        leaseMs = 3_000,
        effects = (all) => all,
        machines = (all) => all,
      }: NodeTestOptions = {},
    ) => {
      const config = { ...loadConfig({}, {}), effect_backoff_seconds: 0.01, ...changes };
      const own = openDatabase(postgres.url, { maxConnections: 4, applicationName: name });
      const ownNats = await connect(patient(broker.url));
      const node = new Node(
        {
          store: new PostgresActorStore(own.pool, compileRowChanges),
          bus: new NatsBus(ownNats, log),
          clock: systemClock,
          machines: machines(
            machinesWith({
              create: 60_000,
              update: 60_000,
              failover: 60_000,
              delete: 60_000,
              boot: 60_000,
              step: 60_000,
              portGrace: 1_000,
              syncGrace: 1_000,
            }),
          ),
          effects: effects(
            createEffects({ db: own.db, provider, authority, secrets, config, heartbeat: undefined }),
          ),
          control: new NatsControl(ownNats, { node: name, version: 'test' }, log),
          tracer: new NatsTracer(ownNats, name, log),
          log,
        },
        {
          ...{ node: name, leaseMs, sweepMs: 200, cacheSize: 100, effectConcurrency: 8 },
          providerConcurrency: config.provider_concurrency,
        },
      );
      let closed: Promise<void> | undefined;
      const close = node.close.bind(node);
      node.close = () => {
        closed ??= close().then(async () => {
          await own.close();
          await ownNats.close();
        });
        return closed;
      };
      stops.push(() => node.close());
      await node.start();
      return node;
    };

    return {
      db,
      broker,
      nats,
      mailbox,
      provider,
      secrets: { store: secrets, directory: secretsDirectory },
      startNode,
      stop,
      createLoadBalancer: (options) => createLoadBalancer(db, mailbox, options),
      waitFor: (id, statuses, ms) => waitForStatus(db, id, statuses, ms),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A connection that outlives its broker. */
const patient = (url: string) => ({ ...natsOptions(url), maxReconnectAttempts: -1, reconnectTimeWait: 50 });

async function createLoadBalancer(
  db: Db,
  mailbox: Mailbox,
  { topology = 'SINGLE', listeners = 1 }: { topology?: Topology; listeners?: number } = {},
): Promise<string> {
  const id = randomUUID();
  const envelope = await db.transaction().execute(async (transaction) => {
    await transaction
      .insertInto('load_balancers')
      .values({
        id,
        project_id: 'p',
        provider: 'amphora',
        topology,
        vip_address: '198.18.0.10',
        vip_subnet_id: randomUUID(),
        vip_network_id: randomUUID(),
        revision: 1,
      })
      .execute();
    for (let index = 0; index < listeners; index += 1) {
      await transaction
        .insertInto('listeners')
        .values({
          id: randomUUID(),
          load_balancer_id: id,
          project_id: 'p',
          protocol: 'HTTP',
          protocol_port: 80 + index,
          revision: 1,
        })
        .execute();
    }
    const amphoraIds = topology === 'SINGLE' ? [randomUUID()] : [randomUUID(), randomUUID()];
    return mailbox.spawn(
      transaction,
      { kind: 'load-balancer', id, loadBalancerId: id },
      { loadBalancerId: id, topology, amphoraIds },
    );
  });
  mailbox.publish(envelope);
  return id;
}

async function waitForStatus(db: Db, id: string, statuses: string[], ms = 15_000): Promise<string> {
  const deadline = Date.now() + ms;
  for (;;) {
    const row = await db
      .selectFrom('load_balancers')
      .select(['provisioning_status', 'error_message'])
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    if (statuses.includes(row.provisioning_status)) return row.provisioning_status;
    if (Date.now() > deadline) {
      const events = await db.selectFrom('actor_events').selectAll().where('actor_id', '=', id).execute();
      throw new Error(
        `load balancer is ${row.provisioning_status}, not ${statuses.join(' or ')}; ${row.error_message ?? ''} events: ${events.map((event) => `${(event.event as { type: string }).type} -> ${event.to_state}`).join(', ')}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
