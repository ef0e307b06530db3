import type { Clock } from '../../src/actors/clock.ts';
import { serverName } from '../../src/effects/names.ts';
import { type OrphanParts, removeOrphans } from '../../src/effects/orphans.ts';
import type { Link } from './link.ts';
import type { SimulatedStore } from './store.ts';
import type { World } from './world.ts';

const PERIOD_MS = 10_000;
const GRACE_MS = 4_000;

/** A late call is undone within this time. */
export const ORPHANED_MS = 2 * PERIOD_MS + GRACE_MS;

export interface HouseholdParts {
  clock: Clock;
  store: SimulatedStore;
  world: World;
  storeLink: Link;
  worldLink: Link;
  removed(names: string[]): void;
}

/** A process's look for orphans, again and again. */
export function keepHouse(parts: HouseholdParts): void {
  const { clock, removed } = parts;
  clock.after(PERIOD_MS, () => {
    removeOrphans(through(parts), { signal: new AbortController().signal })
      .then(removed, () => {})
      .finally(() => keepHouse(parts));
  });
}

/** The simulated world as a provider shows it. */
function through({ store, world, storeLink, worldLink }: HouseholdParts): OrphanParts {
  const ids = () => [...world.servers.keys()];
  return {
    compute: {
      list: () =>
        worldLink.call(() => ids().map((id) => ({ id, name: serverName(id), state: 'ACTIVE' as const }))),
      delete: (id) => worldLink.call(() => world.deleteServer(id)),
    },
    network: {
      listPorts: async () => {
        const names = await worldLink.call(() => [...world.ports]);
        const facts = {
          macAddress: '',
          fixedIps: [],
          mtu: 1500,
          deviceId: null,
          securityGroupIds: [],
          qosPolicyId: null,
          networkId: '',
        };
        return names.map((name) => ({ id: name, name, vnicType: 'normal' as const, ...facts }));
      },
      deletePort: (id) => worldLink.call(() => world.deletePorts(id)),
    },
    ended: (kind, candidates) =>
      storeLink.call(() => {
        const before = store.now() - GRACE_MS;
        const over = store
          .actors()
          .filter((actor) => actor.kind === kind && actor.done && actor.updatedAt < before);
        return new Set(over.map(({ id }) => id).filter((id) => candidates.includes(id)));
      }),
  };
}
