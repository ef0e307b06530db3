import { AgentError } from '../errors.ts';
import { contains, parseAddress, parseNetwork } from '../ip-address.ts';
import type { InterfaceRecord } from './record.ts';

/**
 * What the wire schema cannot say: addresses lie in their subnets, and every route stays in one family.
 * @throws AgentError 400 that names the field
 */
export function validateInterface(record: InterfaceRecord): void {
  const { vip } = record;
  if (vip) {
    requireFamily('gateway', vip.gateway, vip.subnet_cidr);
    requireFamily('vip', vip.vip, vip.subnet_cidr);
    if (!vip.vrrp_ip) refuse('vrrp_ip', 'required: the agent runs no DHCP client');
    requireInside('vrrp_ip', vip.vrrp_ip, vip.subnet_cidr);
    requireRoutes('host_routes', vip.host_routes);
    for (const [index, additional] of (vip.additional_vips ?? []).entries()) {
      const field = `additional_vips.${index}`;
      requireFamily(`${field}.ip_address`, additional.ip_address, additional.subnet_cidr);
      requireFamily(`${field}.gateway`, additional.gateway, additional.subnet_cidr);
      requireRoutes(`${field}.host_routes`, additional.host_routes);
    }
  } else if (record.fixed_ips.length === 0) {
    refuse('fixed_ips', 'at least one address is required: the agent runs no DHCP client');
  }
  for (const [index, fixed] of record.fixed_ips.entries()) {
    requireInside(`fixed_ips.${index}.ip_address`, fixed.ip_address, fixed.subnet_cidr);
    requireRoutes(`fixed_ips.${index}.host_routes`, fixed.host_routes);
  }
}

function requireFamily(field: string, address: string | null | undefined, cidr: string): void {
  if (!address || parseAddress(address).family === parseNetwork(cidr).family) return;
  refuse(field, `must be of the address family of ${cidr}`);
}

function requireInside(field: string, address: string, cidr: string): void {
  if (!contains(parseNetwork(cidr), parseAddress(address))) refuse(field, `must be an address of ${cidr}`);
}

function requireRoutes(
  field: string,
  routes: { destination: string; nexthop: string }[] | null | undefined,
): void {
  for (const [index, { destination, nexthop }] of (routes ?? []).entries()) {
    requireFamily(`${field}.${index}.nexthop`, nexthop, destination);
  }
}

function refuse(field: string, problem: string): never {
  throw new AgentError(400, 'Invalid request', { details: `${field}: ${problem}` });
}
