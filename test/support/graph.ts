import type {
  AmphoraNode,
  HealthMonitorNode,
  L7PolicyNode,
  L7RuleNode,
  ListenerNode,
  LoadBalancerGraph,
  MemberNode,
  PoolNode,
} from '../../src/model/graph.ts';

const id = (digit: string | number) => `00000000-0000-4000-8000-${String(digit).padStart(12, '0')}`;
const active = { provisioningStatus: 'ACTIVE', withheld: false, adminStateUp: true } as const;
const noTls = { tlsCiphers: null, tlsVersions: null, alpnProtocols: null };

/** A load balancer with one HTTP listener, its pool and two members; every part can be replaced. */
export function loadBalancer(parts: Partial<LoadBalancerGraph> = {}): LoadBalancerGraph {
  return {
    id: id(1),
    projectId: 'p',
    name: 'web',
    adminStateUp: true,
    provisioningStatus: 'PENDING_UPDATE',
    topology: 'SINGLE',
    vipVnicType: 'normal',
    vipPortOwned: true,
    vipSecurityGroupIds: [],
    vipQosPolicyId: null,
    revision: 7,
    vip: { address: '198.51.100.7', subnetId: id(90), networkId: id(91), portId: id(92) },
    additionalVips: [],
    flavor: {},
    availabilityZone: {},
    amphorae: [amphora()],
    listeners: [listener()],
    pools: [pool()],
    ...parts,
  };
}

export function amphora(parts: Partial<AmphoraNode> = {}): AmphoraNode {
  return {
    id: id(2),
    status: 'ALLOCATED',
    role: 'STANDALONE',
    computeId: 'c',
    managementAddress: 'fd00::2',
    vrrpIp: '198.51.100.8',
    vrrpPriority: null,
    ports: [],
    ...parts,
  };
}

export function listener(parts: Partial<ListenerNode> = {}): ListenerNode {
  return {
    ...active,
    id: id(10),
    name: '',
    protocol: 'HTTP',
    protocolPort: 80,
    connectionLimit: -1,
    defaultPoolId: id(20),
    allowedCidrs: null,
    insertHeaders: {},
    timeoutClientData: 50_000,
    timeoutMemberConnect: 5_000,
    timeoutMemberData: 50_000,
    timeoutTcpInspect: 0,
    ...noTls,
    defaultTlsContainerRef: null,
    sniContainerRefs: [],
    clientCaTlsContainerRef: null,
    clientCrlContainerRef: null,
    clientAuthentication: 'NONE',
    hstsMaxAge: null,
    hstsIncludeSubdomains: false,
    hstsPreload: false,
    l7policies: [],
    ...parts,
  };
}

export function pool(parts: Partial<PoolNode> = {}): PoolNode {
  return {
    ...active,
    id: id(20),
    name: '',
    protocol: 'HTTP',
    lbAlgorithm: 'ROUND_ROBIN',
    sessionPersistence: null,
    ...noTls,
    tlsEnabled: false,
    tlsContainerRef: null,
    caTlsContainerRef: null,
    crlContainerRef: null,
    members: [member(), member({ id: id(31), address: '203.0.113.12' })],
    healthMonitor: null,
    ...parts,
  };
}

export function member(parts: Partial<MemberNode> = {}): MemberNode {
  return {
    ...active,
    id: id(30),
    name: '',
    address: '203.0.113.11',
    protocolPort: 8080,
    weight: 1,
    backup: false,
    subnetId: null,
    vnicType: 'normal',
    monitorAddress: null,
    monitorPort: null,
    operatingStatus: 'NO_MONITOR',
    ...parts,
  };
}

export function healthMonitor(parts: Partial<HealthMonitorNode> = {}): HealthMonitorNode {
  return {
    ...active,
    id: id(40),
    type: 'HTTP',
    delay: 5,
    timeout: 3,
    maxRetries: 2,
    maxRetriesDown: 3,
    httpMethod: 'GET',
    urlPath: '/health',
    expectedCodes: '200-202',
    httpVersion: null,
    domainName: null,
    ...parts,
  };
}

export function l7policy(parts: Partial<L7PolicyNode> = {}): L7PolicyNode {
  return {
    ...active,
    id: id(50),
    name: '',
    action: 'REJECT',
    position: 1,
    redirectPoolId: null,
    redirectUrl: null,
    redirectPrefix: null,
    redirectHttpCode: null,
    rules: [l7rule()],
    ...parts,
  };
}

export function l7rule(parts: Partial<L7RuleNode> = {}): L7RuleNode {
  return {
    ...active,
    id: id(60),
    type: 'PATH',
    compareType: 'EQUAL_TO',
    key: null,
    value: '/',
    invert: false,
    ...parts,
  };
}

export { id as uuid };
