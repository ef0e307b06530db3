import type { VnicType } from '../model/status.ts';
import type { Call } from './call.ts';

export interface NetworkInfo {
  id: string;
  name: string;
  mtu: number;
  subnetIds: string[];
  /** vNIC types that ports of this network may have. */
  vnicTypes: VnicType[];
  /** Whether a port may be allowed to use the addresses of another, as the amphorae use the VIP. */
  portSecurity: boolean;
}

export interface SubnetInfo {
  id: string;
  networkId: string;
  cidr: string;
  ipVersion: 4 | 6;
  gatewayIp: string | null;
  hostRoutes: { destination: string; nexthop: string }[];
}

export interface FixedIp {
  subnetId: string;
  ipAddress: string;
}

export interface PortInfo {
  id: string;
  name: string;
  networkId: string;
  macAddress: string;
  vnicType: VnicType;
  fixedIps: FixedIp[];
  mtu: number;
  /** Set while the port is plugged into, or reserved for, something. */
  deviceId: string | null;
  securityGroupIds: string[];
  qosPolicyId: string | null;
}

/** What can be changed about a port. */
export interface PortChanges {
  /** Replace the addresses besides its own that the port may use. */
  allowedAddresses?: string[] | undefined;
  securityGroupIds?: string[] | undefined;
  /** null: none. */
  qosPolicyId?: string | null | undefined;
}

export interface PortSpec {
  /** Deterministic: a second `createPort` with it finds the port of the first. */
  name: string;
  networkId: string;
  /** Absent or empty: the provider takes one address from a subnet of its choice. */
  fixedIps?: { subnetId?: string | undefined; ipAddress?: string | undefined }[] | undefined;
  vnicType: VnicType;
  /** false for a port that only reserves addresses (the VIP). */
  adminStateUp: boolean;
  deviceId?: string | undefined;
  projectId?: string | undefined;
  /** Addresses besides its own that the port may use (allowed address pairs): the VIPs. */
  allowedAddresses?: string[] | undefined;
  /** Of a `normal` port, where the provider has security groups; absent: the provider's default. */
  securityGroupIds?: string[] | undefined;
  qosPolicyId?: string | null | undefined;
}

/** What of the network can be looked up. */
export type NetworkView = Pick<Network, 'getNetwork' | 'getSubnet' | 'getPort' | 'hasPortOption'>;

/** What a provider may know besides networks, and users may have put on their VIP. */
export type PortOption = 'Security Group' | 'QoS Policy';

/**
 * Networks, subnets and ports. Every verb is idempotent and throws only classified errors
 * (`src/model/errors.ts`). Reads of unknown ids answer undefined.
 */
export interface Network {
  getNetwork(networkId: string, call: Call): Promise<NetworkInfo | undefined>;
  getSubnet(subnetId: string, call: Call): Promise<SubnetInfo | undefined>;
  getPort(portId: string, call: Call): Promise<PortInfo | undefined>;
  /**
   * Make a port, or find the one of that name.
   * @throws TerminalError `address_in_use` when a requested address is taken, `not_found` for an unknown network
   *   or subnet, `vnic_type_unsupported`; PlacementError `no_address_left`.
   */
  createPort(spec: PortSpec, call: Call): Promise<PortInfo>;
  /** Remove a port; success when there is none. */
  deletePort(portId: string, call: Call): Promise<void>;
  /** Change what is named about a port, and nothing else. */
  updatePort(portId: string, changes: PortChanges, call: Call): Promise<void>;
  /** Whether there is such a thing to put on a port. Absent where the provider has none of either kind. */
  hasPortOption?(option: PortOption, id: string, call: Call): Promise<boolean>;
  /** How many addresses each subnet of a network has left. Absent, or undefined: nobody knows. */
  freeAddresses?(networkId: string, call: Call): Promise<Map<string, number> | undefined>;
  /** Ports that Amphorae made; with `namePrefix`, those whose name starts so. */
  listPorts(filter: { namePrefix?: string; deviceId?: string }, call: Call): Promise<PortInfo[]>;
  /** What the owner of a token can see: not the networks of others, unless shared. Absent where everybody sees all. */
  seenBy?(token: string): NetworkView;
}
