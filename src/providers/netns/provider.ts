import { rm } from 'node:fs/promises';
import type { AgentClient } from '../../amphora-api/client.ts';
import type { Config } from '../../config.ts';
import type { Db } from '../../store/database.ts';
import type { Provider } from '../provider.ts';
import { classified } from './classify.ts';
import { NetnsCompute } from './compute.ts';
import { ip } from './ip.ts';
import { hasIpvs } from './ipvs.ts';
import { NetnsNetwork } from './network.ts';
import { NetnsNetworks, type NetworkAdmin } from './networks.ts';
import { Plugs } from './plugs.ts';
import { AGENT_COMMAND } from './server-process.ts';
import { amphoraeDirectory, hostManagementAddress } from './servers.ts';

export interface NetnsProvider extends Provider {
  name: 'netns';
  networks: NetworkAdmin;
  /** Bring back what a reboot of the host took from the networks. Call once at start. */
  restore(): Promise<void>;
  /** Remove every amphora, link, bridge and row of the provider. */
  destroyAll(): Promise<void>;
}

const DESTROY_DEADLINE_MS = 120_000;

/**
 * Amphorae on this Linux host. Needs root.
 * @param options.agent speaks to the agents; closed together with the provider.
 * @param options.command command line of an amphora's process 1; default: this checkout's agent.
 */
export function createNetnsProvider(options: {
  db: Db;
  config: Config;
  agent: AgentClient;
  command?: readonly string[];
}): NetnsProvider {
  const { db, config, agent, command = AGENT_COMMAND } = options;
  const plugs = new Plugs(ip, config);
  const networks = new NetnsNetworks(db, ip, config);
  const compute = new NetnsCompute({ db, ip, plugs, networks, config, command });
  return {
    name: 'netns',
    compute: classified(compute),
    network: classified(new NetnsNetwork(db, plugs)),
    pace: { bootLookMs: 250, plugMs: 0 },
    agent,
    managementAddress: async () => {
      const address = await hostManagementAddress(db, config.netns_management_cidr);
      return address.replace(/\/.*/, '');
    },
    lvs: hasIpvs,
    networks: classified<NetworkAdmin>(networks),
    restore: () => networks.restore(),
    async destroyAll() {
      const call = { signal: AbortSignal.timeout(DESTROY_DEADLINE_MS) };
      for (const server of await compute.list({})) await compute.delete(server.id, call);
      await networks.destroy();
      await rm(amphoraeDirectory(config.data_dir), { recursive: true, force: true });
    },
    close: () => agent.close(),
  };
}
