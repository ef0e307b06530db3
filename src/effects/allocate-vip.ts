import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { TerminalError } from '../model/errors.ts';
import type { LoadBalancerGraph, Vip } from '../model/graph.ts';
import type { PortInfo } from '../providers/network.ts';
import { type EffectDependencies, requireGraph } from './dependencies.ts';
import { vipPortName } from './names.ts';

/** The API made the port already; this makes sure that it is there as stored, and makes it again if it is lost. */
export function allocateVip({ db, provider }: EffectDependencies) {
  return async (
    { loadBalancerId }: EffectInput<'allocateVip'>,
    context: EffectContext,
  ): Promise<EffectOutput<'allocateVip'>> => {
    const graph = await requireGraph(db, loadBalancerId);
    const { networkId, portId } = graph.vip;
    const stored = portId === null ? undefined : await provider.network.getPort(portId, context);
    if (stored) return describe(graph, stored);
    if (networkId === null) {
      throw new TerminalError(
        'vip_lost',
        `the VIP port of load balancer ${loadBalancerId} is gone, and its network is not known`,
      );
    }
    const made = await provider.network.createPort(
      {
        name: vipPortName(loadBalancerId),
        networkId,
        fixedIps: [graph.vip, ...graph.additionalVips].map(({ subnetId, address }) => ({
          subnetId: subnetId ?? undefined,
          ipAddress: address || undefined,
        })),
        vnicType: 'normal',
        adminStateUp: false,
        deviceId: `lb-${loadBalancerId}`,
        projectId: graph.projectId,
        ...(graph.vipSecurityGroupIds.length > 0 && { securityGroupIds: graph.vipSecurityGroupIds }),
      },
      context,
    );
    return describe(graph, made);
  };
}

function describe(graph: LoadBalancerGraph, port: PortInfo): EffectOutput<'allocateVip'> {
  const complete = (vip: Vip, fallback: number): Vip => {
    const fixed =
      port.fixedIps.find(({ ipAddress }) => ipAddress === vip.address) ??
      port.fixedIps.find(({ subnetId }) => subnetId === vip.subnetId) ??
      port.fixedIps[fallback];
    return {
      address: vip.address || (fixed?.ipAddress ?? ''),
      subnetId: vip.subnetId ?? fixed?.subnetId ?? null,
      networkId: port.networkId,
      portId: port.id,
    };
  };
  return {
    vip: complete(graph.vip, 0),
    additionalVips: graph.additionalVips.map((vip, index) => complete(vip, index + 1)),
  };
}
