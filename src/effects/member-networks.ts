import { TerminalError } from '../model/errors.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import type { VnicType } from '../model/status.ts';
import type { Call } from '../providers/call.ts';
import type { Network, SubnetInfo } from '../providers/network.ts';
import { desiredMembers } from '../render/desired.ts';
import { requireSubnet } from './vip-plug.ts';

/** A network that an amphora must have a port in, because members live there. */
export interface MemberNetwork {
  networkId: string;
  vnicType: VnicType;
  subnets: SubnetInfo[];
}

/**
 * The networks of the members, other than the VIP's own, which the base port reaches.
 * @throws TerminalError `vnic_type_conflict` when one network would need two vNIC types (contract C4).
 */
export async function memberNetworks(
  network: Pick<Network, 'getSubnet'>,
  graph: LoadBalancerGraph,
  call: Call,
): Promise<MemberNetwork[]> {
  const members = desiredMembers(graph).filter(({ subnetId }) => subnetId !== null);
  const subnetIds = [...new Set(members.flatMap(({ subnetId }) => subnetId ?? []))];
  const subnets = new Map(
    await Promise.all(subnetIds.map(async (id) => [id, await requireSubnet(network, id, call)] as const)),
  );

  const networks = new Map<string, MemberNetwork>();
  for (const { subnetId, vnicType } of members) {
    const subnet = subnets.get(subnetId ?? '');
    if (!subnet) continue;
    const wanted =
      subnet.networkId === graph.vip.networkId ? graph.vipVnicType : networks.get(subnet.networkId)?.vnicType;
    if (wanted !== undefined && wanted !== vnicType) {
      throw new TerminalError(
        'vnic_type_conflict',
        `members of network ${subnet.networkId} ask for a ${vnicType} port, but the network is plugged with a ${wanted} one; one vNIC type serves a network`,
      );
    }
    if (subnet.networkId === graph.vip.networkId) continue;
    const known = networks.get(subnet.networkId) ?? { networkId: subnet.networkId, vnicType, subnets: [] };
    if (!known.subnets.includes(subnet)) known.subnets.push(subnet);
    networks.set(subnet.networkId, known);
  }
  return [...networks.values()];
}
