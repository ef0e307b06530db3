import * as z from 'zod';
import type { PortChanges, PortInfo, PortSpec } from '../network.ts';

/** A port as Neutron answers it; without admin rights `binding:*` beyond the vNIC type is missing. */
export const NeutronPort = z.object({
  id: z.string(),
  name: z.string(),
  network_id: z.string(),
  mac_address: z.string(),
  device_id: z.string(),
  security_groups: z.array(z.string()),
  /** Only where Neutron has QoS. */
  qos_policy_id: z.string().nullish(),
  fixed_ips: z.array(z.object({ subnet_id: z.string(), ip_address: z.string() })),
  'binding:vnic_type': z.string().default('normal'),
  'binding:vif_type': z.string().optional(),
});
export type NeutronPort = z.output<typeof NeutronPort>;

/** Fields that `NeutronPort` needs: lists of thousands of ports are long. */
export const PORT_FIELDS = Object.keys(NeutronPort.shape);

/** Marks a port as one of ours, as upstream does. Nova overwrites it while the port is plugged. */
export const DEVICE_OWNER = 'Octavia';

/**
 * What makes a port ours, and says whose it is: its name up to the id of the amphora or load balancer. Neutron filters by
 * equality only, so this is its description, and all ports of an amphora are found by one query.
 * @param name of a port, or the beginning of one; undefined when it does not contain such an id
 */
export function ownershipOf(name: string): string | undefined {
  const owner = /^.*?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(name)?.[0];
  return owner && `Amphorae: ${owner}`;
}

/** The body of a port that does not exist yet (contract F1). */
export function newPort(spec: PortSpec): object {
  return {
    name: spec.name,
    description: ownershipOf(spec.name),
    network_id: spec.networkId,
    admin_state_up: spec.adminStateUp,
    device_owner: DEVICE_OWNER,
    'binding:vnic_type': spec.vnicType,
    ...(spec.deviceId && { device_id: spec.deviceId }),
    ...(spec.projectId && { project_id: spec.projectId }),
    ...(spec.fixedIps?.length && {
      fixed_ips: spec.fixedIps.map(({ subnetId, ipAddress }) => ({
        ...(subnetId && { subnet_id: subnetId }),
        ...(ipAddress && { ip_address: ipAddress }),
      })),
    }),
    ...portChanges({
      allowedAddresses: spec.allowedAddresses?.length ? spec.allowedAddresses : undefined,
      // A VF gets no group: Neutron would add the default one, which nothing enforces there.
      securityGroupIds: spec.vnicType === 'direct' ? [] : spec.securityGroupIds,
      qosPolicyId: spec.qosPolicyId ?? undefined,
    }),
  };
}

/** What is said about it in Neutron's words. */
export function portChanges({ allowedAddresses, securityGroupIds, qosPolicyId }: PortChanges): object {
  return {
    ...(allowedAddresses && {
      allowed_address_pairs: allowedAddresses.map((address) => ({ ip_address: address })),
    }),
    ...(securityGroupIds && { security_groups: securityGroupIds }),
    ...(qosPolicyId !== undefined && { qos_policy_id: qosPolicyId }),
  };
}

/** @param mtu of the port's network */
export function portInfo(port: NeutronPort, mtu: number): PortInfo {
  return {
    id: port.id,
    name: port.name,
    networkId: port.network_id,
    macAddress: port.mac_address,
    vnicType: port['binding:vnic_type'] === 'direct' ? 'direct' : 'normal',
    fixedIps: port.fixed_ips.map(({ subnet_id, ip_address }) => ({
      subnetId: subnet_id,
      ipAddress: ip_address,
    })),
    mtu,
    // Nova leaves a port that could not be bound in the name of the server that does not have it.
    deviceId: port.device_id === '' || bindingFailed(port) ? null : port.device_id,
    securityGroupIds: port.security_groups,
    qosPolicyId: port.qos_policy_id ?? null,
  };
}

export const bindingFailed = (port: NeutronPort) => port['binding:vif_type'] === 'binding_failed';
