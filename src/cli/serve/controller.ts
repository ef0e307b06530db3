import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import packageJson from '../../../package.json' with { type: 'json' };
import { systemClock } from '../../actors/clock.ts';
import { NatsBus } from '../../actors/nats-bus.ts';
import { NatsControl } from '../../actors/nats-control.ts';
import { NatsTracer } from '../../actors/nats-tracer.ts';
import { Node } from '../../actors/node.ts';
import type { Config } from '../../config.ts';
import { CertificateAuthority } from '../../effects/certificate-authority.ts';
import { createEffects } from '../../effects/effects.ts';
import { createApi } from '../../http/app.ts';
import { Live } from '../../http/debug/live.ts';
import { serveApi } from '../../http/server.ts';
import { machinesWith } from '../../machines/registry.ts';
import type { Pace } from '../../providers/provider.ts';
import { CommitSignal } from '../../status/commit-signal.ts';
import { StatusFeed } from '../../status/feed.ts';
import { StatusPublisher } from '../../status/publisher.ts';
import { StatusStream } from '../../status/stream.ts';
import { openDatabase } from '../../store/database.ts';
import { compileRowChanges } from '../../store/row-changes.ts';
import { checkAccess, openAccess } from './access.ts';
import { AnnouncingMailbox, AnnouncingStore } from './announcing.ts';
import { openLimiter } from './failover-limiter.ts';
import { monitorHealth } from './health.ts';
import { keepHouse } from './housekeeping.ts';
import { connectNats } from './nats.ts';
import { openProvider } from './provider.ts';
import { openSecrets } from './secrets.ts';

/** One process of the control plane: the REST API, a node that runs actors, or both. */
export interface Controller {
  /** Where the REST API answers, if this process has it. */
  url: string | undefined;
  /** Finish or hand over what is going on, then let go of everything. */
  close(): Promise<void>;
}

/**
 * The composition root: everything that a process is made of meets here, and only here.
 * @param open the provider; tests have one that is real but for the amphorae
 */
export async function createController(
  config: Config,
  log: Logger,
  open = openProvider,
): Promise<Controller> {
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
    const nats = await connectNats(config.nats_url, `amphorae ${node}`, log);
    const bus = new NatsBus(nats, log);
    closers.push(() => bus.close());
    const control = new NatsControl(nats, { node, version: packageJson.version }, log);
    const committed = new CommitSignal(nats);
    const announce = () => committed.raise();
    const authority = await CertificateAuthority.open(join(config.data_dir, 'ca'));
    const { secrets, close: closeSecrets } = openSecrets(config);
    closers.push(closeSecrets);
    const { provider, networks } = await open({ config, db: database.db, authority, log });
    closers.push(() => provider.close());

    const mailbox = new AnnouncingMailbox(bus, announce);
    const machines = machinesWith(deadlines(config, provider.pace));

    if (config.roles.includes('controller')) {
      const health = await monitorHealth({ config, db: database.db, provider, mailbox, announce, log });
      const runtime = new Node(
        {
          store: new AnnouncingStore(database.pool, compileRowChanges, announce),
          bus,
          clock: systemClock,
          machines,
          effects: createEffects({
            db: database.db,
            provider,
            authority,
            secrets,
            config,
            heartbeat: health?.settings,
          }),
          control,
          tracer: new NatsTracer(nats, node, log),
          log,
        },
        {
          node,
          leaseMs: config.lease_seconds * 1000,
          sweepMs: config.sweep_seconds * 1000,
          cacheSize: config.actor_cache,
          effectConcurrency: config.effect_concurrency,
          providerConcurrency: config.provider_concurrency,
        },
      );
      if (health) closers.push(() => health.close());
      await runtime.start();
      closers.push(() => runtime.close());
      const limiter = openLimiter({ config, db: database.db, mailbox, log });
      closers.push(() => limiter.close());
      closers.push(keepHouse({ db: database.db, provider, config, log }));

      const publisher = new StatusPublisher(
        { db: database.db, stream: new StatusStream(nats, streamLimits(config)), log },
        { name: node, lookMs: config.sweep_seconds * 1000 },
      );
      committed.listen(() => publisher.wake());
      closers.push(() => publisher.close());
    }

    let url: string | undefined;
    if (config.roles.includes('api')) {
      checkAccess(config);
      const { access, close: closeAccess } = await openAccess(config, log);
      closers.push(closeAccess);
      const statusFeed = new StatusFeed(nats, log);
      closers.push(async () => statusFeed.close());
      const ending = new AbortController();
      const api = createApi({
        statusFeed,
        ending: ending.signal,
        db: database.db,
        mailbox,
        network: provider.network,
        networks,
        profiles: provider.profiles,
        lvs: () => provider.lvs(),
        secrets,
        config,
        machines,
        access,
        live: new Live(nats, log),
        control,
        log,
      });
      const server = await serveApi(api, config.listen, {
        connections: config.api_connections,
        requestMs: config.api_request_seconds * 1000,
      });
      closers.push(() => server.close());
      closers.push(async () => ending.abort());
      url = server.url;
    }
    return { url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function deadlines(config: Config, pace: Pace) {
  return {
    create: config.create_deadline_seconds * 1000,
    update: config.update_deadline_seconds * 1000,
    // Two amphorae are replaced one after the other.
    failover: config.create_deadline_seconds * 2000,
    delete: config.delete_deadline_seconds * 1000,
    // A step's effect gives up first, because it can say why.
    boot: config.boot_deadline_seconds * 1500,
    step: config.agent_deadline_seconds * 1500 + pace.plugMs,
    portGrace: config.pair_grace_seconds * 1000 + pace.plugMs,
    syncGrace: config.pair_grace_seconds * 1000,
  };
}

function streamLimits(config: Config) {
  return {
    maxAgeMs: config.status_retention_hours * 3_600_000,
    maxBytes: config.status_retention_mebibytes * 2 ** 20,
  };
}
