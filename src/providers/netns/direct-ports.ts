import { sql } from 'kysely';
import { PlacementError, TerminalError } from '../../model/errors.ts';
import type { Queryable } from '../../store/database.ts';
import type { Port } from './ports.ts';
import type { NetnsServer } from './servers.ts';

/** A way to give an amphora a virtual function. */
export interface DirectPorts {
  /** Names of the virtual functions that the network has, taken or not. */
  functionsOf(network: Pick<Port, 'networkId' | 'physicalFunction'>): Promise<string[]>;
  /** Put the port's function into the server; success when it is there. */
  plug(server: NetnsServer, port: Port, signal: AbortSignal): Promise<void>;
  /** Take it back; success when it is not plugged. `server` is undefined when there is no such server any more. */
  unplug(server: NetnsServer | undefined, port: Port, signal: AbortSignal): Promise<void>;
}

/**
 * Reserve a port for a server: nobody else can plug it, and a direct port has its virtual function from now on.
 * @throws TerminalError `port_in_use`; PlacementError `no_vf_left`
 */
export async function claimPort(
  transaction: Queryable,
  serverId: string,
  port: Port,
  directPorts: DirectPorts,
): Promise<Port> {
  if (port.attachedTo !== null && port.attachedTo !== serverId) {
    throw new TerminalError('port_in_use', `port ${port.id} is plugged into server ${port.attachedTo}`);
  }
  const vf =
    port.vnicType === 'direct' ? (port.vf ?? (await chooseFunction(transaction, port, directPorts))) : null;
  await transaction
    .updateTable('netns_ports')
    .set({ attached_to: serverId, vf })
    .where('id', '=', port.id)
    .execute();
  return { ...port, attachedTo: serverId, vf };
}

/** Undo `claimPort`, after the port was taken out of the server. */
export async function releasePort(db: Queryable, portId: string): Promise<void> {
  await db.updateTable('netns_ports').set({ attached_to: null, vf: null }).where('id', '=', portId).execute();
}

async function chooseFunction(transaction: Queryable, port: Port, directPorts: DirectPorts): Promise<string> {
  // Networks on one physical function share its virtual ones, so their claims wait for each other.
  await transaction
    .selectFrom('netns_networks')
    .select('id')
    .where(({ or, eb }) =>
      or([eb('id', '=', port.networkId), eb('physical_function', '=', port.physicalFunction)]),
    )
    .orderBy('id')
    .forNoKeyUpdate()
    .execute();
  const functions = await directPorts.functionsOf(port);
  const taken = await transaction
    .selectFrom('netns_ports')
    .select('vf')
    .where('vf', '=', sql<string>`ANY(${functions})`)
    .execute();
  const free = functions.find((vf) => !taken.some((row) => row.vf === vf));
  if (free !== undefined) return free;
  throw new PlacementError(
    'no_vf_left',
    port.physicalFunction === null
      ? `all ${functions.length} stand-ins for VFs of network ${port.networkId} are in use; delete load balancers or raise netns_stand_in_vfs`
      : `all ${functions.length} VFs of ${port.physicalFunction} are in use; delete load balancers or raise sriov_numvfs of the NIC`,
  );
}
