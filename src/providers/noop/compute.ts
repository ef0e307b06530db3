import type { Compute, Server, ServerSpec } from '../compute.ts';
import type { NoopAgent } from './agent.ts';
import { addressOf, isDerived, uuidOf } from './ids.ts';
import type { NoopNetwork } from './network.ts';

/** Servers that are ACTIVE at once and exist in memory only. Those of an earlier life are answered as if remembered. */
export class NoopCompute implements Compute {
  readonly #network: NoopNetwork;
  readonly #agent: NoopAgent;
  readonly #servers = new Map<string, Server & { amphoraId: string }>();
  readonly #deleted = new Set<string>();

  constructor(network: NoopNetwork, agent: NoopAgent) {
    this.#network = network;
    this.#agent = agent;
  }

  async create(spec: ServerSpec): Promise<Server> {
    const id = uuidOf(`server/${spec.name}`);
    const known = this.#servers.get(id);
    if (known) return known;
    // The certificate of the amphora is issued as everywhere else, so that the figures of noop are honest.
    await spec.files();
    const server = {
      ...activeServer(id, spec.name),
      amphoraId: spec.amphoraId,
      zone: spec.zone,
      imageId: spec.imageTag,
      computeFlavor: spec.computeFlavor,
    };
    this.#servers.set(id, server);
    this.#deleted.delete(id);
    for (const portId of spec.portIds) this.#network.setDevice(portId, id);
    return server;
  }

  async status(serverId: string): Promise<Server | undefined> {
    const known = this.#servers.get(serverId);
    if (known || this.#deleted.has(serverId) || !isDerived(serverId)) return known;
    return activeServer(serverId, '');
  }

  async attachPort(serverId: string, portId: string): Promise<void> {
    this.#network.setDevice(portId, serverId);
  }

  async detachPort(_serverId: string, portId: string): Promise<void> {
    this.#network.setDevice(portId, null);
  }

  async delete(serverId: string): Promise<void> {
    for (const port of await this.#network.listPorts({ deviceId: serverId })) {
      this.#network.setDevice(port.id, null);
    }
    const server = this.#servers.get(serverId);
    if (server) this.#agent.forget(server.amphoraId);
    this.#servers.delete(serverId);
    this.#deleted.add(serverId);
  }

  async list(filter: { name?: string }): Promise<Server[]> {
    return [...this.#servers.values()].filter(
      ({ name }) => filter.name === undefined || name === filter.name,
    );
  }
}

function activeServer(id: string, name: string): Server {
  return { id, name, state: 'ACTIVE', managementAddress: addressOf(`management/${id}`) };
}
