import type { ActorKind } from '../machines/address.ts';
import type { Call } from '../providers/call.ts';
import type { Compute } from '../providers/compute.ts';
import type { Network } from '../providers/network.ts';
import type { SecurityGroups } from '../providers/security-groups.ts';
import { ownerOf, PREFIX } from './names.ts';

export interface OrphanParts {
  compute: Pick<Compute, 'list' | 'delete' | 'listAntiAffinityGroups' | 'deleteAntiAffinityGroup'>;
  network: Pick<Network, 'listPorts' | 'deletePort'>;
  securityGroups?: Pick<SecurityGroups, 'list' | 'delete'> | undefined;
  /** Which of these actors were ours and ended long enough ago for every call of theirs to have arrived. */
  ended(kind: ActorKind, ids: string[]): Promise<Set<string>>;
}

/**
 * Remove what amphorae and load balancers that have ended have at a provider: a call of a controller that was stopped may
 * arrive after another one has released everything. Only what is known to have been ours is touched: a name alone proves
 * nothing.
 * @returns names of what was removed
 */
export async function removeOrphans(parts: OrphanParts, call: Call): Promise<string[]> {
  const things = await everything(parts, call);
  const owners = things.flatMap(({ name }) => ownerOf(name) ?? []);
  const gone = new Set<string>();
  for (const kind of ['amphora', 'load-balancer'] as const) {
    const ids = new Set(owners.filter((owner) => owner.kind === kind).map(({ id }) => id));
    for (const id of ids.size > 0 ? await parts.ended(kind, [...ids]) : []) gone.add(`${kind}/${id}`);
  }
  const removed: string[] = [];
  for (const { name, remove } of things) {
    const owner = ownerOf(name);
    if (owner === undefined || !gone.has(`${owner.kind}/${owner.id}`)) continue;
    await remove();
    removed.push(name);
  }
  return removed;
}

interface Thing {
  name: string;
  remove(): Promise<void>;
}

/** All that could be ours, in the order in which it can be removed. */
async function everything({ compute, network, securityGroups }: OrphanParts, call: Call): Promise<Thing[]> {
  const servers = await compute.list({}, call);
  const ports = await network.listPorts({ namePrefix: PREFIX }, call);
  const serverGroups = (await compute.listAntiAffinityGroups?.(call)) ?? [];
  const portGroups = (await securityGroups?.list(call)) ?? [];
  return [
    ...servers.map(({ id, name }) => ({ name, remove: () => compute.delete(id, call) })),
    ...ports.map(({ id, name }) => ({ name, remove: () => network.deletePort(id, call) })),
    ...serverGroups.map((name) => ({
      name,
      remove: async () => compute.deleteAntiAffinityGroup?.(name, call),
    })),
    ...portGroups.map((name) => ({ name, remove: async () => securityGroups?.delete(name, call) })),
  ];
}
