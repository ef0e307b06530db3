import type {
  AmphoraRole,
  AmphoraStatus,
  OperatingStatus,
  ProvisioningStatus,
  Topology,
  VnicType,
} from './status.ts';

/**
 * A load balancer with everything below it, as one consistent read of the store. Effects load it, renderers
 * turn it into configuration. Objects in PENDING_DELETE and objects that are withheld (their last change
 * could not be applied) are in it; `desired()` in `src/render/desired.ts` leaves them out.
 */
export interface LoadBalancerGraph {
  id: string;
  projectId: string;
  name: string;
  adminStateUp: boolean;
  provisioningStatus: ProvisioningStatus;
  topology: Topology;
  /** `vip_vnic_type` of the API: decides the vNIC type of the amphorae's base ports. */
  vipVnicType: VnicType;
  /** false when the user brought the VIP's port: it is used as it is and never deleted. */
  vipPortOwned: boolean;
  /** Security groups of the user, on normal ports besides the load balancer's own; they decide who reaches the listeners. */
  vipSecurityGroupIds: string[];
  vipQosPolicyId: string | null;
  /** The revision that this read represents; what an effect reports as applied. */
  revision: number;
  vip: Vip;
  additionalVips: Vip[];
  flavor: FlavorData;
  availabilityZone: AvailabilityZoneData;
  amphorae: AmphoraNode[];
  listeners: ListenerNode[];
  pools: PoolNode[];
}

/** What can be said of a load balancer without looking at what it balances. */
export type LoadBalancerTrunk = Omit<LoadBalancerGraph, 'listeners' | 'pools'>;

export interface Vip {
  address: string;
  subnetId: string | null;
  networkId: string | null;
  portId: string | null;
}

/** Parsed `flavor_data` of a flavor profile (contract A16). */
export interface FlavorData {
  loadbalancer_topology?: Topology | undefined;
  compute_flavor?: string | undefined;
  amp_image_tag?: string | undefined;
  sriov_vip?: boolean | undefined;
  allow_member_sriov?: boolean | undefined;
}

export interface AvailabilityZoneData {
  compute_zone?: string | undefined;
  volume_zone?: string | undefined;
  management_network?: string | undefined;
  valid_vip_networks?: string[] | undefined;
}

export interface AmphoraNode {
  id: string;
  status: AmphoraStatus;
  role: AmphoraRole;
  computeId: string | null;
  managementAddress: string | null;
  /** The base port's own address (not the VIP). */
  vrrpIp: string | null;
  vrrpPriority: number | null;
  ports: AmphoraPort[];
}

/** A port that an amphora has, or had planned when its controller died. */
export interface AmphoraPort {
  portId: string;
  role: 'vip' | 'member';
  networkId: string;
  vnicType: VnicType;
  macAddress: string;
  fixedIps: { subnetId: string; ipAddress: string }[];
  mtu: number;
}

export interface ListenerNode {
  id: string;
  name: string;
  protocol: ListenerProtocol;
  protocolPort: number;
  adminStateUp: boolean;
  connectionLimit: number;
  defaultPoolId: string | null;
  allowedCidrs: string[] | null;
  insertHeaders: Record<string, string>;
  timeoutClientData: number;
  timeoutMemberConnect: number;
  timeoutMemberData: number;
  timeoutTcpInspect: number;
  /** References into the secret store; a certificate with its key. */
  defaultTlsContainerRef: string | null;
  sniContainerRefs: string[];
  clientCaTlsContainerRef: string | null;
  clientCrlContainerRef: string | null;
  clientAuthentication: 'NONE' | 'OPTIONAL' | 'MANDATORY';
  tlsCiphers: string | null;
  tlsVersions: TlsVersion[] | null;
  alpnProtocols: string[] | null;
  hstsMaxAge: number | null;
  hstsIncludeSubdomains: boolean;
  hstsPreload: boolean;
  /** In the order of their position. */
  l7policies: L7PolicyNode[];
  provisioningStatus: ProvisioningStatus;
  withheld: boolean;
}

export type TlsVersion = 'SSLv3' | 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

export interface L7PolicyNode {
  id: string;
  name: string;
  action: 'REJECT' | 'REDIRECT_TO_POOL' | 'REDIRECT_TO_URL' | 'REDIRECT_PREFIX';
  position: number;
  redirectPoolId: string | null;
  redirectUrl: string | null;
  redirectPrefix: string | null;
  redirectHttpCode: number | null;
  adminStateUp: boolean;
  provisioningStatus: ProvisioningStatus;
  withheld: boolean;
  rules: L7RuleNode[];
}

export interface L7RuleNode {
  id: string;
  type:
    | 'HOST_NAME'
    | 'PATH'
    | 'FILE_TYPE'
    | 'HEADER'
    | 'COOKIE'
    | 'SSL_CONN_HAS_CERT'
    | 'SSL_VERIFY_RESULT'
    | 'SSL_DN_FIELD';
  compareType: 'REGEX' | 'STARTS_WITH' | 'ENDS_WITH' | 'CONTAINS' | 'EQUAL_TO';
  key: string | null;
  value: string;
  invert: boolean;
  adminStateUp: boolean;
  provisioningStatus: ProvisioningStatus;
  withheld: boolean;
}

export type ListenerProtocol = 'TCP' | 'HTTP' | 'HTTPS' | 'TERMINATED_HTTPS' | 'UDP' | 'SCTP' | 'PROMETHEUS';
export type PoolProtocol = 'TCP' | 'HTTP' | 'HTTPS' | 'PROXY' | 'PROXYV2' | 'UDP' | 'SCTP';

export interface PoolNode {
  id: string;
  name: string;
  protocol: PoolProtocol;
  lbAlgorithm: 'ROUND_ROBIN' | 'LEAST_CONNECTIONS' | 'SOURCE_IP' | 'SOURCE_IP_PORT';
  sessionPersistence: SessionPersistence | null;
  /** TLS to the members. */
  tlsEnabled: boolean;
  tlsContainerRef: string | null;
  caTlsContainerRef: string | null;
  crlContainerRef: string | null;
  tlsCiphers: string | null;
  tlsVersions: TlsVersion[] | null;
  alpnProtocols: string[] | null;
  adminStateUp: boolean;
  provisioningStatus: ProvisioningStatus;
  withheld: boolean;
  members: MemberNode[];
  healthMonitor: HealthMonitorNode | null;
}

export interface SessionPersistence {
  type: 'SOURCE_IP' | 'HTTP_COOKIE' | 'APP_COOKIE';
  cookie_name: string | null;
  persistence_timeout: number | null;
  persistence_granularity: string | null;
}

export interface MemberNode {
  id: string;
  name: string;
  address: string;
  protocolPort: number;
  weight: number;
  backup: boolean;
  subnetId: string | null;
  vnicType: VnicType;
  monitorAddress: string | null;
  monitorPort: number | null;
  adminStateUp: boolean;
  operatingStatus: OperatingStatus;
  provisioningStatus: ProvisioningStatus;
  withheld: boolean;
}

export interface HealthMonitorNode {
  id: string;
  type: 'HTTP' | 'HTTPS' | 'TCP' | 'PING' | 'TLS-HELLO' | 'UDP-CONNECT' | 'SCTP';
  delay: number;
  timeout: number;
  maxRetries: number;
  maxRetriesDown: number;
  httpMethod: string | null;
  urlPath: string | null;
  expectedCodes: string | null;
  httpVersion: number | null;
  domainName: string | null;
  adminStateUp: boolean;
  provisioningStatus: ProvisioningStatus;
  withheld: boolean;
}
