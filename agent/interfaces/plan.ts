import {
  BITS,
  contains,
  type Family,
  formatAddress,
  formatNetwork,
  parseAddress,
  parseNetwork,
} from '../ip-address.ts';
import type { AgentSettings } from '../settings.ts';
import type { InterfaceRecord } from './record.ts';

/** Addresses, routes and policy rules of one interface, in the kernel's canonical spelling. */
export interface InterfacePlan {
  addresses: PlannedAddress[];
  routes: PlannedRoute[];
  rules: PlannedRule[];
}

export interface PlannedAddress {
  address: string;
  prefix: number;
  family: Family;
  /** A VIP: never the source of what the amphora itself begins. */
  virtual: boolean;
}

export interface PlannedRoute {
  destination: string;
  gateway?: string;
  source?: string;
  table: number;
}

export interface PlannedRule {
  source: string;
  family: Family;
  table: number;
}

const MAIN_TABLE = 254;
const ANYWHERE = { 4: '0.0.0.0/0', 6: formatNetwork({ family: 6, value: 0n, prefix: 0 }) };

type Reach = {
  subnet_cidr: string;
  gateway?: string | null | undefined;
  host_routes?: { destination: string; nexthop: string }[] | null | undefined;
};

/**
 * What the kernel is told about an interface (contract D4). In ACTIVE_STANDBY the VIPs are keepalived's; the routes and rules
 * that lead back from them are there all the time, so that nothing but addresses has to move.
 */
export function planInterface(record: InterfaceRecord, topology: AgentSettings['topology']): InterfacePlan {
  const plan: InterfacePlan = { addresses: [], routes: [], rules: [] };
  if (record.vip) planVip(record.vip, topology, plan);
  for (const fixed of record.fixed_ips) {
    plan.addresses.push(ownAddress(fixed.ip_address, fixed.subnet_cidr));
    // A member's network is never the way out: its gateway would take the VIP's answers.
    plan.routes.push(...hostRoutes(fixed, MAIN_TABLE));
  }
  plan.addresses = unique(plan.addresses, ({ address }) => address);
  plan.routes = unique(plan.routes, ({ destination, table }) => `${destination} ${table}`);
  return plan;
}

function planVip(vip: NonNullable<InterfaceRecord['vip']>, topology: string, plan: InterfacePlan): void {
  const base = vip.vrrp_ip ? ownAddress(vip.vrrp_ip, vip.subnet_cidr) : undefined;
  if (base) plan.addresses.push(base);
  const vips: (Reach & { address: string })[] = [
    { ...vip, address: vip.vip },
    ...(vip.additional_vips ?? []).map((additional) => ({ ...additional, address: additional.ip_address })),
  ];
  for (const [index, reach] of vips.entries()) {
    const { family, value } = parseAddress(reach.address);
    const address = formatAddress({ family, value });
    const subnet = parseNetwork(reach.subnet_cidr);
    const onLink =
      base && contains(subnet, parseAddress(base.address)) ? [] : [{ destination: formatNetwork(subnet) }];
    plan.routes.push(...onLink.map((route) => ({ ...route, table: MAIN_TABLE })));
    plan.routes.push(...gatewayRoute(reach, MAIN_TABLE), ...hostRoutes(reach, MAIN_TABLE));
    // One table for each VIP, the contract's table 1 for the first: their subnets may have different gateways.
    const table = index + 1;
    const held = topology === 'SINGLE';
    if (held) plan.addresses.push({ address, prefix: BITS[family], family, virtual: true });
    plan.rules.push({ source: address, family, table });
    plan.routes.push(
      ...[
        { destination: formatNetwork(subnet), table },
        ...gatewayRoute(reach, table),
        ...hostRoutes(reach, table),
        // The kernel takes no source that it does not have.
      ].map((route) => (held ? { ...route, source: address } : route)),
    );
  }
}

function ownAddress(address: string, subnetCidr: string): PlannedAddress {
  const { family, prefix } = parseNetwork(subnetCidr);
  return { address: formatAddress(parseAddress(address)), prefix, family, virtual: false };
}

function gatewayRoute({ gateway }: Reach, table: number): PlannedRoute[] {
  if (!gateway) return [];
  const parsed = parseAddress(gateway);
  return [{ destination: ANYWHERE[parsed.family], gateway: formatAddress(parsed), table }];
}

function hostRoutes({ host_routes }: Pick<Reach, 'host_routes'>, table: number): PlannedRoute[] {
  return (host_routes ?? []).map(({ destination, nexthop }) => ({
    destination: formatNetwork(parseNetwork(destination)),
    gateway: formatAddress(parseAddress(nexthop)),
    table,
  }));
}

/** The first of each key: the primary VIP's gateway wins over those of additional VIPs. */
function unique<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...Map.groupBy(items, key).values()].map(([first]) => first as T);
}
