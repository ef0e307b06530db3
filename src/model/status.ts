import * as z from 'zod';

/** What the control plane is doing to an object (contract B1). Only load balancers ever reach DELETED. */
export const ProvisioningStatus = z.enum([
  'PENDING_CREATE',
  'PENDING_UPDATE',
  'PENDING_DELETE',
  'ACTIVE',
  'ERROR',
  'DELETED',
]);
export type ProvisioningStatus = z.infer<typeof ProvisioningStatus>;

/** What the data plane is seen doing (contract B1, B4). */
export const OperatingStatus = z.enum(['ONLINE', 'OFFLINE', 'DEGRADED', 'ERROR', 'DRAINING', 'NO_MONITOR']);
export type OperatingStatus = z.infer<typeof OperatingStatus>;

/** Life of an amphora row (contract B5). */
export const AmphoraStatus = z.enum([
  'PENDING_CREATE',
  'BOOTING',
  'ALLOCATED',
  'PENDING_DELETE',
  'ERROR',
  'FAILOVER_STOPPED',
  'DELETED',
]);
export type AmphoraStatus = z.infer<typeof AmphoraStatus>;

/** Whether an amphora of this status serves, as far as is known, so that others count on it. */
export function serves(status: AmphoraStatus): boolean {
  return status === 'ALLOCATED' || status === 'FAILOVER_STOPPED';
}

export const AmphoraRole = z.enum(['STANDALONE', 'MASTER', 'BACKUP']);
export type AmphoraRole = z.infer<typeof AmphoraRole>;

export const Topology = z.enum(['SINGLE', 'ACTIVE_STANDBY']);
export type Topology = z.infer<typeof Topology>;

/** `direct` is an SR-IOV virtual function, `normal` an ordinary (tap, veth) port. */
export const VnicType = z.enum(['normal', 'direct']);
export type VnicType = z.infer<typeof VnicType>;
