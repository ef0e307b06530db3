import type { ActorKind } from '../machines/address.ts';
import type { Call } from '../providers/call.ts';
import type { Compute } from '../providers/compute.ts';
import type { Network } from '../providers/network.ts';
import { ownerOf, PREFIX } from './names.ts';

export interface OrphanParts {
  compute: Pick<Compute, 'list' | 'delete'>;
  network: Pick<Network, 'listPorts' | 'deletePort'>;
  /** Which of these actors were ours and ended long enough ago for every call of theirs to have arrived. */
  ended(kind: ActorKind, ids: string[]): Promise<Set<string>>;
}

/**
 * Remove the servers and ports of amphorae and load balancers that have ended: a call of a controller that was stopped may
 * arrive after another one has released everything. Only what is known to have been ours is touched: a name alone proves
 * nothing.
 * @returns names of what was removed
 */
export async function removeOrphans({ compute, network, ended }: OrphanParts, call: Call): Promise<string[]> {
  const servers = await compute.list({}, call);
  const ports = await network.listPorts({ namePrefix: PREFIX }, call);
  const owners = [...servers, ...ports].flatMap(({ name }) => ownerOf(name) ?? []);
  const gone = new Set<string>();
  for (const kind of ['amphora', 'load-balancer'] as const) {
    const ids = new Set(owners.filter((owner) => owner.kind === kind).map(({ id }) => id));
    for (const id of ids.size > 0 ? await ended(kind, [...ids]) : []) gone.add(`${kind}/${id}`);
  }
  const orphaned = ({ name }: { name: string }) => {
    const owner = ownerOf(name);
    return owner !== undefined && gone.has(`${owner.kind}/${owner.id}`);
  };
  const removed: string[] = [];
  for (const { id, name } of servers.filter(orphaned)) {
    await compute.delete(id, call);
    removed.push(name);
  }
  for (const { id, name } of ports.filter(orphaned)) {
    await network.deletePort(id, call);
    removed.push(name);
  }
  return removed;
}
