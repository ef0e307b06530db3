import { randomUUID } from 'node:crypto';
import { privatePostgres } from '../../src/cli/up/supervisor.ts';
import type { Config } from '../../src/config.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { type Stand, startStand } from '../support/stand.ts';
import { type System, startSystem } from '../support/system.ts';

/** Where a run takes place: three controllers with their database and broker, and what load balancers are made of. */
export interface Site {
  system: System;
  db: Db;
  subnetId: string;
  memberAddresses: string[];
  flavorIds: (string | null)[];
  /** Real amphorae, with networks and members; none with the noop provider. */
  stand: Stand | undefined;
  stop(): Promise<void>;
}

export const CONTROLLERS = 3;

/** Everything that waits, shortened: a run is to see many leases end and many sweeps. */
const settings: Partial<Config> = {
  lease_seconds: 3,
  sweep_seconds: 0.5,
  effect_backoff_seconds: 0.2,
  database_connections: 6,
};

export async function openSite(provider: Config['provider']): Promise<Site> {
  return provider === 'noop' ? openNoopSite() : openNetnsSite();
}

async function openNoopSite(): Promise<Site> {
  const system = await startSystem({ provider: 'noop', nodes: CONTROLLERS, settings });
  const { db, close } = openDatabase(privatePostgres(system.config).url, {
    maxConnections: 2,
    applicationName: 'test',
  });
  const stop = () => close().then(() => system.stop());
  try {
    const memberAddresses = Array.from({ length: 5 }, (_, index) => `203.0.113.${index + 1}`);
    const flavorIds = [null, await pairFlavor(system)];
    return { system, db, subnetId: randomUUID(), memberAddresses, flavorIds, stand: undefined, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function openNetnsSite(): Promise<Site> {
  const stand = await startStand(settings, { nodes: CONTROLLERS });
  const { system, db, stop, members, network } = stand;
  try {
    const memberAddresses = members.map(({ address4 }) => address4);
    const flavorIds = [null, await pairFlavor(system)];
    return { system, db, subnetId: network.subnet4, memberAddresses, flavorIds, stand, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Two amphorae for a load balancer. */
async function pairFlavor(system: System): Promise<string> {
  const { flavorprofile } = await system.api<{ flavorprofile: { id: string } }>(
    'POST',
    '/v2.0/lbaas/flavorprofiles',
    {
      flavorprofile: {
        name: 'pair',
        provider_name: 'amphora',
        flavor_data: JSON.stringify({ loadbalancer_topology: 'ACTIVE_STANDBY' }),
      },
    },
  );
  const { flavor } = await system.api<{ flavor: { id: string } }>('POST', '/v2.0/lbaas/flavors', {
    flavor: { name: 'pair', flavor_profile_id: flavorprofile.id },
  });
  return flavor.id;
}
