import type { ActorKind } from '../machines/address.ts';

/**
 * Names under which the control plane makes things at a provider (contract F1, F3). They follow from ids alone, so that
 * a controller finds what another made before it died.
 */
export const PREFIX = 'octavia-lb-';
export const serverName = (amphoraId: string) => `amphora-${amphoraId}`;
export const vipPortName = (loadBalancerId: string) => `${PREFIX}${loadBalancerId}`;
export const basePortName = (amphoraId: string) => `${PREFIX}vrrp-${amphoraId}`;
/** One port per amphora and member network. */
export const memberPortName = (amphoraId: string, networkId: string) =>
  `${memberPortPrefix(amphoraId)}${networkId}`;
export const memberPortPrefix = (amphoraId: string) => `${PREFIX}member-${amphoraId}-`;
/** Of the amphorae of a load balancer: security group, where the provider has such. */
export const securityGroupName = (loadBalancerId: string) => `lb-${loadBalancerId}`;
/** Of the servers that must not share a host. */
export const serverGroupName = (loadBalancerId: string) => `${PREFIX}${loadBalancerId}`;

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const ofAmphora = new RegExp(`^(?:amphora-|${PREFIX}vrrp-)(${UUID})$|^${PREFIX}member-(${UUID})-`);
const ofLoadBalancer = new RegExp(`^(?:${PREFIX}|lb-)(${UUID})$`);

/** Whose a thing of this name would be; undefined when it is no name of ours. */
export function ownerOf(name: string): { kind: ActorKind; id: string } | undefined {
  const [, alone, member] = ofAmphora.exec(name) ?? [];
  const amphoraId = alone ?? member;
  if (amphoraId !== undefined) return { kind: 'amphora', id: amphoraId };
  const id = ofLoadBalancer.exec(name)?.[1];
  return id === undefined ? undefined : { kind: 'load-balancer', id };
}
