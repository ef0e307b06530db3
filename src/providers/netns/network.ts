import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { TerminalError } from '../../model/errors.ts';
import type { VnicType } from '../../model/status.ts';
import type { Db, Queryable } from '../../store/database.ts';
import type { Call } from '../call.ts';
import type { Network, NetworkInfo, PortChanges, PortInfo, PortSpec, SubnetInfo } from '../network.ts';
import { allocateAddresses, countFree } from './addresses.ts';
import type { Plugs } from './plugs.ts';
import { findPort, isUuid, type Port, selectPorts } from './ports.ts';
import { findServer } from './servers.ts';

/** Ports and their addresses, in Postgres; links come into being when a port is plugged. */
export class NetnsNetwork implements Network {
  readonly #db: Db;
  readonly #plugs: Plugs;

  constructor(db: Db, plugs: Plugs) {
    this.#db = db;
    this.#plugs = plugs;
  }

  async getNetwork(networkId: string): Promise<NetworkInfo | undefined> {
    if (!isUuid(networkId)) return undefined;
    const network = await this.#db
      .selectFrom('netns_networks')
      .select(({ selectFrom }) => [
        ...(['id', 'name', 'mtu', 'vnic_types as vnicTypes'] as const),
        selectFrom('netns_subnets')
          .select(sql<string[]>`coalesce(array_agg(id ORDER BY family(cidr), cidr), '{}')`.as('ids'))
          .whereRef('network_id', '=', 'netns_networks.id')
          .as('subnetIds'),
      ])
      .where('id', '=', networkId)
      .executeTakeFirst();
    return network && { ...network, subnetIds: network.subnetIds ?? [], portSecurity: true };
  }

  freeAddresses(networkId: string): Promise<Map<string, number>> {
    return countFree(this.#db, networkId);
  }

  async getSubnet(subnetId: string): Promise<SubnetInfo | undefined> {
    if (!isUuid(subnetId)) return undefined;
    return this.#db
      .selectFrom('netns_subnets')
      .select([
        ...(['id', 'network_id as networkId', 'cidr', 'gateway_ip as gatewayIp'] as const),
        sql<4 | 6>`family(cidr)`.as('ipVersion'),
        'host_routes as hostRoutes',
      ])
      .where('id', '=', subnetId)
      .executeTakeFirst();
  }

  async getPort(portId: string): Promise<PortInfo | undefined> {
    const port = await findPort(this.#db, portId);
    return port && describe(port);
  }

  async createPort(spec: PortSpec): Promise<PortInfo> {
    return this.#db.transaction().execute(async (transaction) => {
      const known = () => selectPorts(transaction).where('port.name', '=', spec.name).executeTakeFirst();
      const earlier = await known();
      if (earlier) return describe(earlier);
      await requireVnicType(transaction, spec.networkId, spec.vnicType);
      const id = randomUUID();
      const { numInsertedOrUpdatedRows } = await transaction
        .insertInto('netns_ports')
        .values({
          id,
          name: spec.name,
          network_id: spec.networkId,
          mac_address: macAddressOf(id),
          vnic_type: spec.vnicType,
          admin_state_up: spec.adminStateUp,
          device_id: spec.deviceId ?? null,
          allowed_addresses: spec.allowedAddresses ?? [],
        })
        .onConflict((conflict) => conflict.column('name').doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows) {
        await allocateAddresses(transaction, { id, networkId: spec.networkId }, spec.fixedIps ?? []);
      }
      // Where another process was faster, its port.
      const port = await known();
      if (!port) throw new TerminalError('not_found', `port ${spec.name} was deleted while it was made`);
      return describe(port);
    });
  }

  async deletePort(portId: string, call: Call): Promise<void> {
    const port = await findPort(this.#db, portId);
    if (!port) return;
    const server = port.attachedTo === null ? undefined : await findServer(this.#db, port.attachedTo);
    await this.#plugs.unplug(server, port, call.signal);
    await this.#db.deleteFrom('netns_ports').where('id', '=', portId).execute();
  }

  async updatePort(portId: string, { allowedAddresses }: PortChanges): Promise<void> {
    if (!allowedAddresses) return;
    const { numUpdatedRows } = await this.#db
      .updateTable('netns_ports')
      .set({ allowed_addresses: allowedAddresses })
      .where('id', '=', portId)
      .executeTakeFirst();
    if (!numUpdatedRows) throw new TerminalError('not_found', `there is no port ${portId}`);
  }

  async listPorts(filter: { namePrefix?: string; deviceId?: string }): Promise<PortInfo[]> {
    const { namePrefix, deviceId } = filter;
    const ports = await selectPorts(this.#db)
      .$if(namePrefix !== undefined, (query) =>
        query.where(sql<boolean>`starts_with(port.name, ${namePrefix})`),
      )
      .$if(deviceId !== undefined, (query) =>
        query.where(sql<boolean>`coalesce(port.attached_to, port.device_id) = ${deviceId}`),
      )
      .orderBy('port.created_at')
      .execute();
    return ports.map(describe);
  }
}

async function requireVnicType(db: Queryable, networkId: string, vnicType: VnicType): Promise<void> {
  const network = isUuid(networkId)
    ? await db
        .selectFrom('netns_networks')
        .select(['name', 'vnic_types'])
        .where('id', '=', networkId)
        .executeTakeFirst()
    : undefined;
  if (!network) throw new TerminalError('not_found', `there is no network ${networkId}`);
  if (!network.vnic_types.includes(vnicType)) {
    throw new TerminalError(
      'vnic_type_unsupported',
      `network ${network.name} has no ${vnicType} ports, only ${network.vnic_types.join(', ')}; create a network with --vnic-types ${vnicType}`,
    );
  }
}

function describe(port: Port): PortInfo {
  const { id, name, networkId, macAddress, vnicType, fixedIps, mtu } = port;
  return {
    id,
    name,
    networkId,
    macAddress,
    vnicType,
    fixedIps,
    mtu,
    deviceId: port.attachedTo ?? port.deviceId,
    securityGroupIds: [],
    qosPolicyId: null,
  };
}

/** Locally administered, unicast, and as random as the id. */
function macAddressOf(portId: string): string {
  return `02:${portId
    .replaceAll('-', '')
    .slice(0, 10)
    .replace(/..(?!$)/g, '$&:')}`;
}
