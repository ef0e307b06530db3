import type { Insertable, Selectable } from 'kysely';
import type { VnicType } from '../model/status.ts';
import type { NetworkView } from '../providers/network.ts';
import type { Queryable } from '../store/database.ts';
import { findFlavorWithProfile } from '../store/flavors.ts';
import { findVipAddresses } from '../store/load-balancers.ts';
import { selectPluggedNetworks } from '../store/members.ts';
import type { Pool } from '../store/pools.ts';
import { parseFlavorData } from '../store/profile-data.ts';
import type { LoadBalancerTable, MemberTable } from '../store/schema.ts';
import { withoutProject } from './attributes.ts';
import { toCreate } from './change.ts';
import { invalidInput, notImplemented } from './fault.ts';
import { familyOf } from './ip.ts';
import type { NewMember } from './schemas/member.ts';
import { findSubnet } from './vip.ts';

type NetworkOfSubnet = Map<string, string>;

/**
 * The networks of the subnets that members name.
 * @param network as the caller sees it
 * @throws Fault 400 for a subnet that does not exist
 */
export async function findMemberNetworks(
  network: NetworkView,
  members: { subnet_id: string | null }[],
): Promise<NetworkOfSubnet> {
  const subnetIds = new Set(members.flatMap(({ subnet_id: id }) => (id === null ? [] : [id])));
  const subnets = await Promise.all([...subnetIds].map((id) => findSubnet(network, id)));
  return new Map(subnets.map((subnet) => [subnet.id, subnet.networkId]));
}

/** Whether the flavor of a load balancer lets members ask for VFs. */
export async function mayRequestSriov(db: Queryable, flavorId: string | null): Promise<boolean> {
  const flavor = flavorId === null ? undefined : await findFlavorWithProfile(db, flavorId);
  return flavor !== undefined && parseFlavorData(flavor.flavor_data).allow_member_sriov === true;
}

interface Wish {
  subnet_id: string | null;
  /** Null: whatever the network has. */
  request_sriov: boolean | null;
}

export interface Placement {
  network_id: string | null;
  vnic_type: VnicType;
}

/**
 * One amphora has one port in each network, so all members of a load balancer in one network have the same vNIC type,
 * and those in the network of the VIP that of the VIP (contract C4).
 */
export class VnicTypes {
  readonly #sriovAllowed: boolean;
  readonly #vipNetworkId: string | null;
  readonly #types: Map<string, VnicType>;

  /** @param plugged the networks that members have already. */
  constructor(
    vip: { networkId: string | null; vnicType: VnicType },
    sriovAllowed: boolean,
    plugged: { network_id: string | null; vnic_type: VnicType }[] = [],
  ) {
    this.#sriovAllowed = sriovAllowed;
    this.#vipNetworkId = vip.networkId;
    this.#types = new Map();
    for (const { network_id, vnic_type } of plugged)
      if (network_id !== null) this.#types.set(network_id, vnic_type);
    if (vip.networkId !== null) this.#types.set(vip.networkId, vip.vnicType);
  }

  /**
   * Where a member is reached, and with what kind of port.
   * @throws Fault 400 when its wish cannot be met
   */
  place({ subnet_id: subnetId, request_sriov: wish }: Wish, networks: NetworkOfSubnet): Placement {
    if (wish === true && !this.#sriovAllowed) {
      throw invalidInput('request_sriov', wish, 'The flavor of the load balancer does not allow it.');
    }
    const networkId = subnetId === null ? null : (networks.get(subnetId) ?? null);
    if (networkId === null) {
      if (wish === true) throw invalidInput('request_sriov', wish, 'It needs subnet_id.');
      return { network_id: null, vnic_type: 'normal' };
    }
    const present = this.#types.get(networkId);
    // Who asks for nothing in particular is content with the port that the VIP has there.
    if (wish === null && networkId === this.#vipNetworkId && present)
      return { network_id: networkId, vnic_type: present };
    const wanted: VnicType = wish === true ? 'direct' : 'normal';
    this.check(networkId, wanted);
    this.#types.set(networkId, wanted);
    return { network_id: networkId, vnic_type: wanted };
  }

  /** @throws Fault 400 when the network is plugged with the other vNIC type */
  check(networkId: string, wanted: VnicType): void {
    const present = this.#types.get(networkId);
    if (present === undefined || present === wanted) return;
    throw invalidInput(
      'request_sriov',
      wanted === 'direct',
      `Network ${networkId} is already plugged with a ${present} port, and an amphora has one port in each network.`,
    );
  }
}

/** The vNIC types of a stored load balancer. @param except a member whose own type does not count. */
export async function loadVnicTypes(
  transaction: Queryable,
  loadBalancer: Selectable<LoadBalancerTable>,
  except?: string,
): Promise<VnicTypes> {
  const plugged = await selectPluggedNetworks(transaction, loadBalancer.id);
  return new VnicTypes(
    { networkId: loadBalancer.vip_network_id, vnicType: loadBalancer.vip_vnic_type },
    await mayRequestSriov(transaction, loadBalancer.flavor_id),
    plugged.filter(({ id }) => id !== except),
  );
}

/**
 * LVS does not translate between families: a member of a UDP or SCTP pool that a listener uses needs a VIP of its own.
 * @throws Fault 501
 */
export async function checkMemberFamilies(
  transaction: Queryable,
  pool: Pick<Pool, 'protocol' | 'listeners' | 'load_balancer_id'>,
  members: { address: string }[],
): Promise<void> {
  if ((pool.protocol !== 'UDP' && pool.protocol !== 'SCTP') || pool.listeners.length === 0) return;
  const families = (await findVipAddresses(transaction, pool.load_balancer_id)).map(familyOf);
  const stranger = members.find(({ address }) => !families.includes(familyOf(address)));
  if (stranger === undefined) return;
  throw notImplemented(
    `No VIP of the load balancer has the family of ${stranger.address}, which a ${pool.protocol} pool needs.`,
  );
}

/** The row of a new member. */
export function memberRow(
  member: NewMember,
  placement: Placement,
  parent: {
    id: string;
    poolId: string;
    loadBalancerId: string;
    projectId: string;
    monitored: boolean;
    revision: number;
  },
): Insertable<MemberTable> {
  const { request_sriov, ...values } = withoutProject(member);
  return {
    ...values,
    ...placement,
    id: parent.id,
    pool_id: parent.poolId,
    load_balancer_id: parent.loadBalancerId,
    project_id: parent.projectId,
    operating_status: parent.monitored ? 'OFFLINE' : 'NO_MONITOR',
    ...toCreate(parent.revision),
  };
}
