import type { PlugVip } from '../amphora-api/plug.ts';
import { TerminalError } from '../model/errors.ts';
import type { AmphoraNode, LoadBalancerGraph } from '../model/graph.ts';
import type { Call } from '../providers/call.ts';
import type { Network, PortInfo, SubnetInfo } from '../providers/network.ts';
import type { Provider } from '../providers/provider.ts';
import { vipAddresses } from '../render/desired.ts';
import { ingressRules } from '../render/ingress-rules.ts';
import { basePortName, securityGroupName } from './names.ts';

/**
 * The port of an amphora in the VIP's network: a VF when the load balancer's flavor says so. It has an address of its own
 * in each VIP subnet, and may use the VIPs (contract F1). Security groups and QoS are those that the load balancer has now;
 * the VIP's own port has the same groups, unless the user brought it.
 */
export async function ensureBasePort(
  provider: Provider,
  graph: LoadBalancerGraph,
  amphora: AmphoraNode,
  call: Call,
): Promise<PortInfo> {
  const { networkId } = graph.vip;
  if (networkId === null)
    throw new TerminalError('vip_missing', `load balancer ${graph.id} has no VIP network`);
  const subnetIds = new Set([graph.vip, ...graph.additionalVips].flatMap(({ subnetId }) => subnetId ?? []));
  const securityGroupIds = await vipSecurityGroups(provider, graph, call);
  const options = { ...(securityGroupIds && { securityGroupIds }), qosPolicyId: graph.vipQosPolicyId };
  const port = await provider.network.createPort(
    {
      name: basePortName(amphora.id),
      networkId,
      fixedIps: [...subnetIds].map((subnetId) => ({ subnetId })),
      vnicType: graph.vipVnicType,
      adminStateUp: true,
      allowedAddresses: vipAddresses(graph),
      ...options,
    },
    call,
  );
  const outdated =
    port.qosPolicyId !== options.qosPolicyId ||
    (securityGroupIds !== undefined && !isSameSet(securityGroupIds, port.securityGroupIds));
  const isNew = amphora.ports.every(({ role }) => role !== 'vip');
  // First the VIP's port, which is not looked at again once the base port is as it should be.
  if (securityGroupIds && graph.vipPortOwned && graph.vip.portId !== null && (outdated || isNew))
    await provider.network.updatePort(graph.vip.portId, { securityGroupIds }, call);
  if (outdated) await provider.network.updatePort(port.id, options, call);
  return port;
}

/** The load balancer's own group, then those of its user; undefined with VFs, or where the provider has no such thing. */
async function vipSecurityGroups(
  { securityGroups }: Provider,
  graph: LoadBalancerGraph,
  call: Call,
): Promise<string[] | undefined> {
  if (graph.vipVnicType === 'direct' || !securityGroups) return undefined;
  const own = await securityGroups.ensure(securityGroupName(graph.id), ingressRules(graph), call);
  return [own, ...graph.vipSecurityGroupIds];
}

const isSameSet = (left: string[], right: string[]) =>
  left.length === right.length && left.every((each) => right.includes(each));

/** Body of plug/vip for a base port (contract D4). */
export async function plugVipBody(
  network: Network,
  graph: LoadBalancerGraph,
  port: PortInfo,
  call: Call,
): Promise<{ body: PlugVip; vrrpIp: string }> {
  const subnet = await requireSubnet(network, graph.vip.subnetId, call);
  const own = port.fixedIps.find(({ subnetId }) => subnetId === subnet.id) ?? port.fixedIps[0];
  if (!own) throw new TerminalError('no_address', `port ${port.id} has no address in the VIP's subnet`);
  return {
    vrrpIp: own.ipAddress,
    body: {
      subnet_cidr: subnet.cidr,
      gateway: subnet.gatewayIp,
      mac_address: port.macAddress,
      mtu: port.mtu,
      vrrp_ip: own.ipAddress,
      host_routes: subnet.hostRoutes,
      additional_vips: await Promise.all(
        graph.additionalVips.map(async ({ address, subnetId }) => {
          const { cidr, gatewayIp, hostRoutes } = await requireSubnet(network, subnetId, call);
          return { ip_address: address, subnet_cidr: cidr, gateway: gatewayIp, host_routes: hostRoutes };
        }),
      ),
      is_sriov: port.vnicType === 'direct',
    },
  };
}

/** @throws TerminalError `subnet_missing` */
export async function requireSubnet(
  network: Pick<Network, 'getSubnet'>,
  subnetId: string | null,
  call: Call,
): Promise<SubnetInfo> {
  const subnet = subnetId === null ? undefined : await network.getSubnet(subnetId, call);
  if (!subnet) throw new TerminalError('subnet_missing', `subnet ${subnetId} does not exist any more`);
  return subnet;
}
