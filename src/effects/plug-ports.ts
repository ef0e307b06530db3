import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { TerminalError } from '../model/errors.ts';
import type { AmphoraNode, AmphoraPort, LoadBalancerGraph } from '../model/graph.ts';
import type { PortInfo } from '../providers/network.ts';
import type { Provider } from '../providers/provider.ts';
import { agentOf, type EffectDependencies, requireAmphora } from './dependencies.ts';
import { type MemberNetwork, memberNetworks } from './member-networks.ts';
import { memberPortName, memberPortPrefix } from './names.ts';
import { ensureBasePort, plugVipBody } from './vip-plug.ts';

interface Work {
  provider: Provider;
  graph: LoadBalancerGraph;
  amphora: AmphoraNode;
  serverId: string;
  context: EffectContext;
}

/**
 * Make the amphora's ports exactly those that the load balancer needs: the base port in the VIP's network and one port
 * in each other network that has members. Ports that are no longer needed go.
 */
export function plugPorts({ db, provider }: EffectDependencies) {
  return async (
    reference: EffectInput<'plugPorts'>,
    context: EffectContext,
  ): Promise<EffectOutput<'plugPorts'>> => {
    const { graph, amphora } = await requireAmphora(db, reference);
    if (amphora.computeId === null) {
      throw new TerminalError('server_lost', `amphora ${amphora.id} has no server to plug ports into`);
    }
    const work: Work = { provider, graph, amphora, serverId: amphora.computeId, context };
    const networks = await memberNetworks(provider.network, graph, context);
    await unplugOthers(work, networks);
    const vip = await plugVipPort(work);
    const members = await Promise.all(networks.map((network) => plugMemberPort(work, network)));
    return {
      vrrpIp: vip.vrrpIp,
      vip: graph.vip,
      ports: [describe(vip.port, 'vip'), ...members.map((port) => describe(port, 'member'))],
    };
  };
}

async function plugVipPort(work: Work): Promise<{ port: PortInfo; vrrpIp: string }> {
  const { provider, graph, amphora, serverId, context } = work;
  const port = await ensureBasePort(provider, graph, amphora, context);
  await provider.compute.attachPort(serverId, port.id, context);
  const { body, vrrpIp } = await plugVipBody(provider.network, graph, port, context);
  await provider.agent.plugVip(agentOf(amphora, context), graph.vip.address, body);
  return { port, vrrpIp };
}

async function plugMemberPort(
  work: Work,
  { networkId, vnicType, subnets }: MemberNetwork,
): Promise<PortInfo> {
  const { provider, amphora, serverId, context } = work;
  const port = await provider.network.createPort(
    {
      name: memberPortName(amphora.id, networkId),
      networkId,
      fixedIps: subnets.map(({ id }) => ({ subnetId: id })),
      vnicType,
      adminStateUp: true,
    },
    context,
  );
  await provider.compute.attachPort(serverId, port.id, context);
  await provider.agent.plugNetwork(agentOf(amphora, context), {
    mac_address: port.macAddress,
    mtu: port.mtu,
    is_sriov: port.vnicType === 'direct',
    fixed_ips: port.fixedIps.flatMap(({ subnetId, ipAddress }) => {
      const subnet = subnets.find(({ id }) => id === subnetId);
      return subnet
        ? [{ ip_address: ipAddress, subnet_cidr: subnet.cidr, host_routes: subnet.hostRoutes, gateway: null }]
        : [];
    }),
  });
  return port;
}

/**
 * What the provider has for this amphora and nobody needs: ports of members that left, or that could not be plugged. Such a
 * port does not become that of members who want the other vNIC type in its network.
 */
async function unplugOthers(work: Work, networks: MemberNetwork[]): Promise<void> {
  const { provider, amphora, serverId, context } = work;
  const present = await provider.network.listPorts({ namePrefix: memberPortPrefix(amphora.id) }, context);
  const wanted = new Map(
    networks.map(({ networkId, vnicType }) => [memberPortName(amphora.id, networkId), vnicType]),
  );
  for (const port of present) {
    if (wanted.get(port.name) === port.vnicType) continue;
    await provider.compute.detachPort(serverId, port.id, context);
    await provider.network.deletePort(port.id, context);
  }
}

function describe(port: PortInfo, role: AmphoraPort['role']): AmphoraPort {
  const { id, networkId, vnicType, macAddress, fixedIps, mtu } = port;
  return { portId: id, role, networkId, vnicType, macAddress, fixedIps, mtu };
}
