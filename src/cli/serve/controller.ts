import { hostname } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { systemClock } from '../../actors/clock.ts';
import { Mailbox } from '../../actors/mailbox.ts';
import { NatsBus } from '../../actors/nats-bus.ts';
import { natsOptions } from '../../actors/nats-url.ts';
import { Node } from '../../actors/node.ts';
import { PostgresActorStore } from '../../actors/postgres-store.ts';
import type { Config } from '../../config.ts';
import { CertificateAuthority } from '../../effects/certificate-authority.ts';
import { createEffects } from '../../effects/effects.ts';
import { createApi } from '../../http/app.ts';
import { serveApi } from '../../http/server.ts';
import { machinesWith } from '../../machines/registry.ts';
import { openDatabase } from '../../store/database.ts';
import { compileRowChanges } from '../../store/row-changes.ts';
import { keepHouse } from './housekeeping.ts';
import { openProvider } from './provider.ts';

/** One process of the control plane: the REST API, a node that runs actors, or both. */
export interface Controller {
  /** Where the REST API answers, if this process has it. */
  url: string | undefined;
  /** Finish or hand over what is going on, then let go of everything. */
  close(): Promise<void>;
}

/** The composition root: everything that a process is made of meets here, and only here. */
export async function createController(config: Config, log: Logger): Promise<Controller> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const each of closers.splice(0).reverse()) await each();
  };
  try {
    const node = config.node_id || `${hostname()}-${process.pid}`;
    const database = openDatabase(config.database_url, {
      maxConnections: config.database_connections,
      applicationName: `amphorae ${node}`,
    });
    closers.push(database.close);
    const nats = await connectNats(config, node, log);
    const bus = new NatsBus(nats, log);
    closers.push(() => bus.close());
    const authority = CertificateAuthority.open(join(config.data_dir, 'ca'));
    const { provider, networks } = await openProvider({ config, db: database.db, authority });
    closers.push(() => provider.close());

    if (config.roles.includes('controller')) {
      const runtime = new Node(
        {
          store: new PostgresActorStore(database.pool, compileRowChanges),
          bus,
          clock: systemClock,
          machines: machinesWith(deadlines(config)),
          effects: createEffects({ db: database.db, provider, authority, config }),
          log,
        },
        {
          node,
          leaseMs: config.lease_seconds * 1000,
          sweepMs: config.sweep_seconds * 1000,
          cacheSize: config.actor_cache,
          effectConcurrency: config.effect_concurrency,
        },
      );
      await runtime.start();
      closers.push(() => runtime.close());
      closers.push(keepHouse({ db: database.db, network: provider.network, log }));
    }

    let url: string | undefined;
    if (config.roles.includes('api')) {
      const api = createApi({
        db: database.db,
        mailbox: new Mailbox(bus),
        network: provider.network,
        networks,
        config,
        log,
      });
      const server = await serveApi(api, config.listen);
      closers.push(() => server.close());
      url = server.url;
    }
    return { url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function deadlines(config: Config) {
  return {
    create: config.create_deadline_seconds * 1000,
    update: config.update_deadline_seconds * 1000,
    // Two amphorae are replaced one after the other.
    failover: config.create_deadline_seconds * 2000,
    delete: config.delete_deadline_seconds * 1000,
    // A step's effect gives up first, because it can say why.
    boot: config.boot_deadline_seconds * 1500,
    step: config.agent_deadline_seconds * 1500,
  };
}

/** Stays connected for the life of the process: while NATS is away, the sweep carries the messages. */
async function connectNats(config: Config, node: string, log: Logger): Promise<NatsConnection> {
  const connection = await connect({
    ...natsOptions(config.nats_url),
    name: `amphorae ${node}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    waitOnFirstConnect: true,
    timeout: 10_000,
  });
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect' || status.type === 'reconnect')
        log.warn({ nats: status.type }, 'NATS connection');
    }
  })();
  return connection;
}
