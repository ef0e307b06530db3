/**
 * Names of what the provider makes in the kernel. Each is a function of an id, so that any process finds what
 * another one made. Interface names have at most 15 characters.
 */
const digits = (id: string, count: number) => id.replaceAll('-', '').slice(0, count);

export const bridgeName = (prefix: string, networkId: string) => `${prefix}${digits(networkId, 8)}`;

/** The host's end of a port's veth pair. */
export const hostLinkName = (portId: string) => `v${digits(portId, 11)}`;

/** A port's interface until the agent, which finds it by MAC address, renames it. */
export const guestLinkName = (portId: string) => `p${digits(portId, 11)}`;

/** The host's end of a server's management link. */
export const managementLinkName = (serverId: string) => `m${digits(serverId, 11)}`;

/** The veth pair that joins a network's macvlan stand-ins to its bridge. */
export const uplinkNames = (networkId: string) => ({
  bridgeSide: `u${digits(networkId, 11)}b`,
  parent: `u${digits(networkId, 11)}p`,
});

export const namespaceName = (amphoraId: string) => `amp-${amphoraId.slice(0, 13)}`;
export const namespacePath = (namespace: string) => `/run/netns/${namespace}`;

/** The management interface inside an amphora. */
export const MANAGEMENT_INTERFACE = 'mgmt0';
