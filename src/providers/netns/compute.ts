import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Config } from '../../config.ts';
import { TerminalError, TransientError } from '../../model/errors.ts';
import type { Db, Queryable } from '../../store/database.ts';
import type { Call } from '../call.ts';
import { AGENT_SETTINGS_FILE, type Compute, type Server, type ServerSpec } from '../compute.ts';
import { claimPort, releasePort } from './direct-ports.ts';
import { ABSENT, type Ip, type IpCommand, linkExists } from './ip.ts';
import { MANAGEMENT_INTERFACE, managementLinkName } from './names.ts';
import type { NetnsNetworks } from './networks.ts';
import type { Plugs } from './plugs.ts';
import { findPort, lockPort, selectPorts } from './ports.ts';
import { initsOf, killProcessesIn } from './processes.ts';
import { startServerProcess } from './server-process.ts';
import {
  codeCacheDirectory,
  directoryOf,
  findServer,
  lockServer,
  type NetnsServer,
  namespaceExists,
  namespaceOf,
  placeServer,
  selectServers,
} from './servers.ts';

export interface NetnsComputeOptions {
  db: Db;
  ip: Ip;
  plugs: Plugs;
  networks: NetnsNetworks;
  config: Pick<
    Config,
    | 'data_dir'
    | 'netns_capacity'
    | 'netns_compute_flavors'
    | 'netns_management_bridge'
    | 'netns_management_cidr'
  >;
  /** Command line of an amphora's process 1. */
  command: readonly string[];
}

/**
 * Amphorae as namespaces of this host. Rows come before what they describe and go after it, so that whatever a dead
 * controller left behind has a row that leads to it.
 */
export class NetnsCompute implements Compute {
  readonly #options: NetnsComputeOptions;

  constructor(options: NetnsComputeOptions) {
    this.#options = options;
  }

  async create(spec: ServerSpec, call: Call): Promise<Server> {
    const placed = await this.#place(spec);
    if (!placed.started) {
      // Not while the server is locked: issuing a certificate may need a database connection of its own.
      const files = await spec.files();
      await this.#withLock(placed.id, async (transaction, server) => {
        if (!server) throw new TransientError('server_deleted', `${spec.name} was deleted while it was made`);
        if (!server.started) await this.#build(transaction, server, files, call.signal);
      });
    }
    return this.#describe({ ...placed, started: true });
  }

  async status(serverId: string): Promise<Server | undefined> {
    const server = await findServer(this.#options.db, serverId);
    return server && this.#describe(server);
  }

  async attachPort(serverId: string, portId: string, call: Call): Promise<void> {
    const { db, plugs } = this.#options;
    const server = await findServer(db, serverId);
    if (!server) throw new TerminalError('not_found', `there is no server ${serverId}`);
    if (!namespaceExists(server)) {
      throw new TerminalError(
        'server_not_running',
        `${server.name} has no network namespace; fail it over or delete it`,
      );
    }
    const port = await db.transaction().execute((transaction) => this.#claim(transaction, serverId, portId));
    await plugs.plug(server, port, call.signal);
  }

  async detachPort(serverId: string, portId: string, call: Call): Promise<void> {
    const { db, plugs } = this.#options;
    const port = await findPort(db, portId);
    if (port?.attachedTo !== serverId) return;
    await plugs.unplug(await findServer(db, serverId), port, call.signal);
    await releasePort(db, portId);
  }

  async delete(serverId: string, call: Call): Promise<void> {
    await this.#withLock(serverId, async (transaction, server) => {
      if (!server) return;
      await this.#demolish(transaction, server, call.signal);
      await transaction
        .updateTable('netns_ports')
        .set({ attached_to: null, vf: null })
        .where('attached_to', '=', serverId)
        .execute();
      await transaction.deleteFrom('netns_servers').where('id', '=', serverId).execute();
    });
  }

  async list(filter: { name?: string }): Promise<Server[]> {
    const { name } = filter;
    const servers = await selectServers(this.#options.db)
      .$if(name !== undefined, (query) => query.where('name', '=', name as string))
      .orderBy('created_at')
      .execute();
    const inits = initsOf(servers.map(namespaceOf));
    return Promise.all(servers.map((server) => this.#describe(server, inits)));
  }

  /** Find the server or store a new one together with its claims: either all of it is placed, or nothing. */
  #place(spec: ServerSpec): Promise<NetnsServer> {
    const { db, config } = this.#options;
    return db.transaction().execute(async (transaction) => {
      const server = await placeServer(transaction, randomUUID(), spec, {
        computeFlavors: config.netns_compute_flavors,
        capacity: config.netns_capacity,
        managementCidr: config.netns_management_cidr,
      });
      if (!server.started) {
        for (const portId of spec.portIds) await this.#claim(transaction, server.id, portId);
      }
      return server;
    });
  }

  async #claim(transaction: Queryable, serverId: string, portId: string) {
    const port = await lockPort(transaction, portId);
    return claimPort(transaction, serverId, port, this.#options.plugs.direct(port));
  }

  #withLock<T>(
    serverId: string,
    work: (transaction: Queryable, server?: NetnsServer) => Promise<T>,
  ): Promise<T> {
    return this.#options.db
      .transaction()
      .execute(async (transaction) => work(transaction, await lockServer(transaction, serverId)));
  }

  async #build(
    transaction: Queryable,
    server: NetnsServer,
    files: Record<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    const { plugs, config, command } = this.#options;
    await this.#demolish(transaction, server, signal);
    await this.#connect(server, signal);
    await startServerProcess(
      {
        namespace: namespaceOf(server),
        directory: directoryOf(config.data_dir, server),
        codeCache: codeCacheDirectory(config.data_dir),
        hostname: server.name,
        files: withBindAddress(files, server.managementAddress),
        command,
      },
      signal,
    );
    for (const port of await this.#portsOf(transaction, server)) await plugs.plug(server, port, signal);
    await transaction
      .updateTable('netns_servers')
      .set({ started: true })
      .where('id', '=', server.id)
      .execute();
  }

  /** Make the server's network namespace and its link to the management network. */
  async #connect(server: NetnsServer, signal: AbortSignal): Promise<void> {
    const { ip, networks, config } = this.#options;
    const namespace = namespaceOf(server);
    const link = managementLinkName(server.id);
    const address = server.managementAddress;
    const prefix = config.netns_management_cidr.split('/')[1] as string;
    await networks.ensureManagement(signal);
    await ip.batch(
      [
        ['netns', 'add', namespace],
        ['link', 'add', link, 'type', 'veth', 'peer', 'name', MANAGEMENT_INTERFACE, 'netns', namespace],
        ['link', 'set', link, 'addrgenmode', 'none'],
        ['link', 'set', link, 'master', config.netns_management_bridge, 'up'],
        // Amphorae reach the host there, not each other.
        ['link', 'set', link, 'type', 'bridge_slave', 'isolated', 'on'],
      ],
      { signal },
    );
    await ip.batch(
      [
        ['link', 'set', 'lo', 'up'],
        ['link', 'set', MANAGEMENT_INTERFACE, 'addrgenmode', 'none'],
        ['link', 'set', MANAGEMENT_INTERFACE, 'up'],
        [
          'address',
          'add',
          `${address}/${prefix}`,
          'dev',
          MANAGEMENT_INTERFACE,
          ...(isIPv6(address) ? ['nodad'] : []),
        ],
      ],
      { namespace, signal },
    );
  }

  /** Remove all of a server from the host, however much of it there is. */
  async #demolish(transaction: Queryable, server: NetnsServer, signal: AbortSignal): Promise<void> {
    const { ip, plugs, config } = this.#options;
    await killProcessesIn(namespaceOf(server), signal);
    const ports = await this.#portsOf(transaction, server);
    await plugs.unplugAll(ports, signal);
    const link = managementLinkName(server.id);
    await ip.batch(
      [
        ...(linkExists(link) ? [['link', 'delete', link]] : []),
        ...(namespaceExists(server) ? [['netns', 'delete', namespaceOf(server)]] : []),
        // Last: `ip neigh` ends the whole batch when there is nothing to forget.
        this.#forgetNeighbour(server),
      ],
      { tolerate: ABSENT, signal },
    );
    await rm(directoryOf(config.data_dir, server), { recursive: true, force: true });
  }

  /** The next server to get this address has another MAC address, and must not be unreachable until the host finds out. */
  #forgetNeighbour({ managementAddress }: NetnsServer): IpCommand {
    return ['neigh', 'delete', managementAddress, 'dev', this.#options.config.netns_management_bridge];
  }

  #portsOf(db: Queryable, server: NetnsServer) {
    return selectPorts(db).where('port.attached_to', '=', server.id).execute();
  }

  async #describe(server: NetnsServer, inits = initsOf([namespaceOf(server)])): Promise<Server> {
    const { id, name, managementAddress } = server;
    const described = { id, name, managementAddress };
    if (!server.started) return { ...described, state: 'BUILD' };
    if (inits.has(namespaceOf(server))) return { ...described, state: 'ACTIVE' };
    return {
      ...described,
      state: 'ERROR',
      fault: {
        kind: 'terminal',
        code: 'server_failed',
        message: `its processes have ended; ${await this.#lastWords(server)}`,
      },
    };
  }

  async #lastWords(server: NetnsServer): Promise<string> {
    const path = join(directoryOf(this.#options.config.data_dir, server), 'agent.log');
    const log = await readFile(path, 'utf8').catch(() => '');
    return `${path} ends with: ${log.trimEnd().split('\n').slice(-3).join('; ')}`;
  }
}

/** Only the provider knows the address that the agent serves on. */
function withBindAddress(files: Record<string, string>, address: string): Record<string, string> {
  const settings: unknown = JSON.parse(files[AGENT_SETTINGS_FILE] ?? '{}');
  return {
    ...files,
    [AGENT_SETTINGS_FILE]: JSON.stringify({ ...(settings as object), bind_address: address }),
  };
}
