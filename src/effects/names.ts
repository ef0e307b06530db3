/**
 * Names under which the control plane makes things at a provider (contract F1, F3). They follow from ids alone, so that
 * a controller finds what another made before it died.
 */
export const serverName = (amphoraId: string) => `amphora-${amphoraId}`;
export const vipPortName = (loadBalancerId: string) => `octavia-lb-${loadBalancerId}`;
export const basePortName = (amphoraId: string) => `octavia-lb-vrrp-${amphoraId}`;
/** One port per amphora and member network. */
export const memberPortName = (amphoraId: string, networkId: string) =>
  `${memberPortPrefix(amphoraId)}${networkId}`;
export const memberPortPrefix = (amphoraId: string) => `octavia-lb-member-${amphoraId}-`;
/** Of the amphorae of a load balancer: security group, where the provider has such. */
export const securityGroupName = (loadBalancerId: string) => `lb-${loadBalancerId}`;
/** Of the servers that must not share a host. */
export const serverGroupName = (loadBalancerId: string) => `octavia-lb-${loadBalancerId}`;
