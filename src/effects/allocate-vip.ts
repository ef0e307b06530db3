import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { TerminalError } from '../model/errors.ts';
import type { LoadBalancerTrunk, Vip } from '../model/graph.ts';
import type { PortInfo } from '../providers/network.ts';
import { type EffectDependencies, requireTrunk } from './dependencies.ts';
import { vipPortName } from './names.ts';

/** The API made the port already; this makes sure that it is there as stored, and makes it again if it is lost. */
export function allocateVip({ db, provider }: EffectDependencies) {
  return async (
    { loadBalancerId }: EffectInput<'allocateVip'>,
    context: EffectContext,
  ): Promise<EffectOutput<'allocateVip'>> => {
    const trunk = await requireTrunk(db, loadBalancerId);
    const { networkId, portId } = trunk.vip;
    const stored = portId === null ? undefined : await provider.network.getPort(portId, context);
    if (stored) return describe(trunk, stored);
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
        fixedIps: [trunk.vip, ...trunk.additionalVips].map(({ subnetId, address }) => ({
          subnetId: subnetId ?? undefined,
          ipAddress: address || undefined,
        })),
        vnicType: 'normal',
        adminStateUp: false,
        deviceId: `lb-${loadBalancerId}`,
        projectId: trunk.projectId,
        ...(trunk.vipSecurityGroupIds.length > 0 && { securityGroupIds: trunk.vipSecurityGroupIds }),
      },
      context,
    );
    return describe(trunk, made);
  };
}

function describe(trunk: LoadBalancerTrunk, port: PortInfo): EffectOutput<'allocateVip'> {
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
    vip: complete(trunk.vip, 0),
    additionalVips: trunk.additionalVips.map((vip, index) => complete(vip, index + 1)),
  };
}
