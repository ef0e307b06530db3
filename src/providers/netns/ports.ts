import type { Expression } from 'kysely';
import { sql } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import { TerminalError } from '../../model/errors.ts';
import type { VnicType } from '../../model/status.ts';
import type { Queryable } from '../../store/database.ts';
import type { FixedIp } from '../network.ts';

/** A port with what its network says about plugging it. */
export interface Port {
  id: string;
  name: string;
  networkId: string;
  macAddress: string;
  vnicType: VnicType;
  deviceId: string | null;
  /** Server that it is plugged into, or about to be. */
  attachedTo: string | null;
  /** VF (PCI address) or stand-in that it holds. */
  vf: string | null;
  fixedIps: FixedIp[];
  mtu: number;
  bridge: string;
  physicalFunction: string | null;
  vlan: number | null;
}

/** Query of ports, to be narrowed by `where` on `port`. */
export function selectPorts(db: Queryable) {
  return db
    .selectFrom('netns_ports as port')
    .innerJoin('netns_networks as network', 'network.id', 'port.network_id')
    .select((builder) => [
      'port.id',
      'port.name',
      'port.network_id as networkId',
      'port.mac_address as macAddress',
      'port.vnic_type as vnicType',
      'port.device_id as deviceId',
      'port.attached_to as attachedTo',
      'port.vf',
      'network.mtu',
      'network.bridge',
      'network.physical_function as physicalFunction',
      'network.vlan',
      fixedIpsOf(builder.ref('port.id')).as('fixedIps'),
    ]);

  function fixedIpsOf(portId: Expression<string>) {
    return jsonArrayFrom(
      db
        .selectFrom('netns_addresses as address')
        .select(['address.subnet_id as subnetId', sql<string>`host(address.ip_address)`.as('ipAddress')])
        .where('address.port_id', '=', portId)
        .orderBy('address.position'),
    );
  }
}

/** The port, or undefined when there is none of that id. */
export async function findPort(db: Queryable, portId: string): Promise<Port | undefined> {
  if (!isUuid(portId)) return undefined;
  return selectPorts(db).where('port.id', '=', portId).executeTakeFirst();
}

/** The port, locked until the end of the transaction. */
export async function lockPort(transaction: Queryable, portId: string): Promise<Port> {
  const port = isUuid(portId)
    ? await selectPorts(transaction).where('port.id', '=', portId).forUpdate('port').executeTakeFirst()
    : undefined;
  if (!port) throw new TerminalError('not_found', `there is no port ${portId}`);
  return port;
}

/** Ids of the columns are UUIDs; anything else names nothing. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
