import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { sql } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import { IpAddress, parseCidr } from '../../amphora-api/address.ts';
import type { Config } from '../../config.ts';
import { TerminalError } from '../../model/errors.ts';
import type { VnicType } from '../../model/status.ts';
import type { Db, Queryable } from '../../store/database.ts';
import { isForeignKeyViolation, isUniqueViolation } from '../../store/database-errors.ts';
import {
  disableBridgeNetfilter,
  ensureBridge,
  ensureManagementBridge,
  removeBridge,
  restoreBridgeNetfilter,
} from './bridges.ts';
import { ABSENT, type Ip, linkExists } from './ip.ts';
import { bridgeName } from './names.ts';
import { isUuid } from './ports.ts';
import { hostManagementAddress } from './servers.ts';

export interface NetworkRequest {
  name: string;
  /** One subnet each; `gateway` defaults to the first address, null means none. */
  cidrs: { cidr: string; gateway?: string | null | undefined }[];
  vnicTypes: VnicType[];
  /** Interface of an SR-IOV NIC of this host, whose VFs are the network's direct ports. */
  physicalFunction?: string | undefined;
  /** VLAN of those VFs. */
  vlan?: number | undefined;
  mtu?: number | undefined;
}

/** A network as the command line and the REST API show it. */
export interface NetworkDescription {
  network_id: string;
  name: string;
  subnets: { subnet_id: string; cidr: string; gateway_ip: string | null }[];
  /** Linux bridge of this host; anyone may attach a veth to it. */
  bridge: string;
  vnic_types: VnicType[];
}

/** What an operator does with the networks of this host. */
export interface NetworkAdmin {
  /** @throws TerminalError `invalid_network`, `name_in_use` */
  createNetwork(request: NetworkRequest): Promise<NetworkDescription>;
  listNetworks(): Promise<NetworkDescription[]>;
  /** Success when there is none. @throws TerminalError `network_in_use` while it has ports */
  deleteNetwork(networkId: string): Promise<void>;
}

type Settings = Pick<
  Config,
  'data_dir' | 'netns_bridge_prefix' | 'netns_direct' | 'netns_management_bridge' | 'netns_management_cidr'
>;

export class NetnsNetworks implements NetworkAdmin {
  readonly #db: Db;
  readonly #ip: Ip;
  readonly #config: Settings;

  constructor(db: Db, ip: Ip, config: Settings) {
    this.#db = db;
    this.#ip = ip;
    this.#config = config;
  }

  async createNetwork(request: NetworkRequest): Promise<NetworkDescription> {
    this.#checkDirect(request);
    const id = randomUUID();
    const bridge = bridgeName(this.#config.netns_bridge_prefix, id);
    const mtu = request.mtu ?? 1500;
    await this.#insert({ ...request, id, bridge, mtu });
    try {
      // A row without its bridge is repaired by `restore`; a bridge without its row would be nobody's.
      await this.#shieldFromNetfilter();
      await ensureBridge(this.#ip, { bridge, mtu });
    } catch (error) {
      await this.deleteNetwork(id);
      throw error;
    }
    const [description] = await this.#describe(id);
    return description as NetworkDescription;
  }

  listNetworks(): Promise<NetworkDescription[]> {
    return this.#describe();
  }

  async deleteNetwork(networkId: string): Promise<void> {
    if (!isUuid(networkId)) return;
    try {
      await this.#db.transaction().execute(async (transaction) => {
        const deleted = await transaction
          .deleteFrom('netns_networks')
          .where('id', '=', networkId)
          .returning(['id', 'bridge'])
          .executeTakeFirst();
        if (deleted) await removeBridge(this.#ip, deleted);
      });
    } catch (error) {
      if (!isForeignKeyViolation(error)) throw error;
      throw new TerminalError(
        'network_in_use',
        `network ${networkId} still has ports; delete its load balancers first`,
        { cause: error },
      );
    }
  }

  /** Bring back the bridges that a reboot took. */
  async restore(): Promise<void> {
    await this.#shieldFromNetfilter();
    await this.ensureManagement();
    const networks = await this.#db.selectFrom('netns_networks').select(['bridge', 'mtu']).execute();
    for (const network of networks) await ensureBridge(this.#ip, network);
  }

  /** Remove all bridges and all that is stored about networks. Servers must be gone. */
  async destroy(): Promise<void> {
    const networks = await this.#db.selectFrom('netns_networks').select(['id', 'bridge']).execute();
    for (const network of networks) await removeBridge(this.#ip, network);
    const management = this.#config.netns_management_bridge;
    if (linkExists(management)) await this.#ip.batch([['link', 'delete', management]], { tolerate: ABSENT });
    await this.#db.deleteFrom('netns_ports').execute();
    await this.#db.deleteFrom('netns_networks').execute();
    await restoreBridgeNetfilter(this.#netfilterRecord);
    await rm(this.#netfilterRecord, { force: true });
  }

  /** The management bridge, with the host on it. */
  async ensureManagement(signal?: AbortSignal): Promise<void> {
    const bridge = this.#config.netns_management_bridge;
    if (linkExists(bridge)) return;
    const address = await hostManagementAddress(this.#db, this.#config.netns_management_cidr);
    await this.#shieldFromNetfilter();
    await ensureManagementBridge(this.#ip, { bridge, address }, signal);
  }

  async #insert(network: NetworkRequest & { id: string; bridge: string; mtu: number }): Promise<void> {
    try {
      await this.#db.transaction().execute(async (transaction) => {
        await transaction
          .insertInto('netns_networks')
          .values({
            id: network.id,
            name: network.name,
            bridge: network.bridge,
            mtu: network.mtu,
            vnic_types: network.vnicTypes,
            physical_function: network.physicalFunction ?? null,
            vlan: network.vlan ?? null,
          })
          .execute();
        for (const subnet of network.cidrs) await insertSubnet(transaction, network.id, subnet);
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new TerminalError('name_in_use', `there is a network ${network.name} already`, { cause: error });
    }
  }

  get #netfilterRecord(): string {
    return join(resolve(this.#config.data_dir), 'bridge-netfilter.json');
  }

  async #shieldFromNetfilter(): Promise<void> {
    await mkdir(this.#config.data_dir, { recursive: true });
    await disableBridgeNetfilter(this.#netfilterRecord);
  }

  /** @throws TerminalError `invalid_network` when this host cannot have such direct ports. */
  #checkDirect({ vnicTypes, physicalFunction }: NetworkRequest): void {
    const mode = this.#config.netns_direct;
    if (physicalFunction !== undefined && !isPhysicalFunction(physicalFunction)) {
      throw invalidNetwork(`${physicalFunction} is no interface of an SR-IOV NIC of this host`);
    }
    if (!vnicTypes.includes('direct')) return;
    if (mode === 'none') throw invalidNetwork('direct ports are switched off (setting netns_direct)');
    if (mode === 'vf' && physicalFunction === undefined) {
      throw invalidNetwork(
        'direct ports need a physical function; stand-ins are switched off (setting netns_direct)',
      );
    }
  }

  async #describe(networkId?: string): Promise<NetworkDescription[]> {
    return this.#db
      .selectFrom('netns_networks as network')
      .select(({ selectFrom }) => [
        ...(['network.id as network_id', 'network.name', 'network.bridge', 'network.vnic_types'] as const),
        jsonArrayFrom(
          selectFrom('netns_subnets as subnet')
            .select(['subnet.id as subnet_id', 'subnet.cidr', 'subnet.gateway_ip'])
            .whereRef('subnet.network_id', '=', 'network.id')
            .orderBy(sql`family(subnet.cidr)`)
            .orderBy('subnet.cidr'),
        ).as('subnets'),
      ])
      .$if(networkId !== undefined, (query) => query.where('network.id', '=', networkId as string))
      .orderBy('network.created_at')
      .execute();
  }
}

async function insertSubnet(
  transaction: Queryable,
  networkId: string,
  { cidr, gateway }: NetworkRequest['cidrs'][number],
): Promise<void> {
  const parsed = parseCidr(cidr);
  if (!parsed) throw invalidNetwork(`${cidr} is not a CIDR such as 10.0.0.0/24`);
  if (parsed.prefix > (parsed.family === 4 ? 30 : 126)) throw invalidNetwork(`${cidr} has no room for ports`);
  if (gateway && !IpAddress.safeParse(gateway).success)
    throw invalidNetwork(`${gateway} is not an IP address`);
  const { rows } = await sql<{ network: string; gateway: string; inside: boolean; overlaps: boolean }>`
    SELECT text(network(cidr)) AS network, host(gateway) AS gateway, gateway << cidr AS inside,
      EXISTS (SELECT FROM netns_subnets WHERE network_id = ${networkId} AND netns_subnets.cidr && request.cidr) AS overlaps
    FROM (SELECT ${cidr}::inet, coalesce(${gateway}::inet, host(network(${cidr}::inet))::inet + 1))
      AS request (cidr, gateway)`.execute(transaction);
  const subnet = rows[0];
  if (!subnet?.inside) throw invalidNetwork(`gateway ${gateway} is not in ${cidr}`);
  if (subnet.overlaps) throw invalidNetwork(`${cidr} overlaps another subnet of the network`);
  await transaction
    .insertInto('netns_subnets')
    .values({
      id: randomUUID(),
      network_id: networkId,
      cidr: subnet.network,
      gateway_ip: gateway === null ? null : subnet.gateway,
    })
    .execute();
}

function isPhysicalFunction(name: string): boolean {
  return /^[\w-][\w.-]{0,14}$/.test(name) && existsSync(`/sys/class/net/${name}/device/sriov_totalvfs`);
}

function invalidNetwork(message: string): TerminalError {
  return new TerminalError('invalid_network', message);
}
