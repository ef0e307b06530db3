import type { ErrorRecord } from '../model/errors.ts';
import type { AmphoraPort, Vip } from '../model/graph.ts';
import type { AmphoraRole, AmphoraStatus } from '../model/status.ts';

/**
 * What a transition does to the rows that users see; applied in the same commit as the transition itself. One commit
 * is one statement, which can change a row only once: at most one change of a transition is to the load balancer's own
 * row (`touchesLoadBalancer`).
 * `src/store/row-changes.ts` says it in SQL.
 */
export type RowChange =
  | { op: 'storeVip'; loadBalancerId: string; vip: Vip; additionalVips: Vip[] }
  | { op: 'insertAmphorae'; loadBalancerId: string; amphorae: NewAmphora[] }
  | { op: 'patchAmphora'; amphoraId: string; patch: AmphoraPatch }
  | { op: 'replacePorts'; amphoraId: string; ports: AmphoraPort[] }
  | { op: 'removeAmphora'; amphoraId: string }
  /** Its heartbeats have stopped, or come again; then it is no longer FAILOVER_STOPPED. */
  | { op: 'markAmphora'; amphoraId: string; stale: boolean }
  /** If it is stale and ALLOCATED still, it is FAILOVER_STOPPED. */
  | { op: 'stopFailover'; amphoraId: string }
  /** A failover has come to an end; if it was an automatic one, another may begin. */
  | { op: 'endFailover'; loadBalancerId: string }
  /**
   * Everything up to `revision` is in force: pending rows become ACTIVE or, if they were to go, are removed. The load
   * balancer is ACTIVE too, unless there are changes beyond `decided`, which wait.
   * `revive`: what was in ERROR and is not withheld is in force as well (after a failover, contract B3).
   */
  | { op: 'settle'; loadBalancerId: string; revision: number; decided: number; revive: boolean }
  /**
   * What was changed after `beyond` and up to `through` is not in force: those objects become ERROR. With `withhold` they
   * are kept out of the data plane until they change again. The load balancer stays as it is.
   */
  | {
      op: 'reject';
      loadBalancerId: string;
      beyond: number;
      through: number;
      error: ErrorRecord;
      withhold: boolean;
    }
  /** The load balancer, and whatever of it is still pending, becomes ERROR. */
  | { op: 'failLoadBalancer'; loadBalancerId: string; error: ErrorRecord; vipReleased: boolean }
  | { op: 'deleteLoadBalancer'; loadBalancerId: string };

const loadBalancerOps: readonly RowChange['op'][] = [
  'storeVip',
  'settle',
  'failLoadBalancer',
  'deleteLoadBalancer',
];

/** Ids of the objects whose rows a change is to; with a load balancer's go those of all below it but for the amphorae. */
export function changedRows(change: RowChange): string[] {
  if (change.op === 'insertAmphorae') return change.amphorae.map(({ id }) => id);
  return 'amphoraId' in change ? [change.amphoraId] : [change.loadBalancerId];
}

/** Whether a change is to the row of the load balancer itself. */
export function touchesLoadBalancer({ op }: RowChange): boolean {
  return loadBalancerOps.includes(op);
}

export interface NewAmphora {
  id: string;
  role: AmphoraRole;
}

export interface AmphoraPatch {
  status?: AmphoraStatus;
  compute_id?: string;
  lb_network_ip?: string;
  vrrp_ip?: string;
  ha_ip?: string;
  vrrp_port_id?: string;
  ha_port_id?: string;
  cert_expiration?: string;
  cached_zone?: string;
  image_id?: string;
  compute_flavor?: string;
  applied_revision?: number;
  error_code?: string | null;
  error_message?: string | null;
}
