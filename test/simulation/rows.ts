import type { RowChange } from '../../src/machines/row-change.ts';
import type { ErrorRecord } from '../../src/model/errors.ts';
import type { AmphoraRole, AmphoraStatus, ProvisioningStatus, Topology } from '../../src/model/status.ts';

export interface LoadBalancerRow {
  id: string;
  topology: Topology;
  status: ProvisioningStatus;
  desiredRevision: number;
  appliedRevision: number;
  /** Revision of the last change to its own attributes. */
  ownRevision: number;
  error: ErrorRecord | null;
}

/** A listener or, with a network, a member. */
export interface ChildRow {
  id: string;
  loadBalancerId: string;
  network: string | null;
  status: ProvisioningStatus;
  revision: number;
  withheld: boolean;
  error: ErrorRecord | null;
}

export interface AmphoraRow {
  id: string;
  loadBalancerId: string;
  role: AmphoraRole;
  status: AmphoraStatus;
  computeId: string | null;
  staleSince: number | null;
}

export interface AutomaticFailover {
  loadBalancerId: string;
  admittedAt: number;
  endedAt: number | null;
}

export const isPending = (status: ProvisioningStatus) => status.startsWith('PENDING_');

/** The rows that users see, and what the charts' row changes do to them: `src/store/row-changes.ts` without SQL. */
export class Rows {
  readonly loadBalancers = new Map<string, LoadBalancerRow>();
  readonly children = new Map<string, ChildRow>();
  readonly amphorae = new Map<string, AmphoraRow>();
  readonly automaticFailovers: AutomaticFailover[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  childrenOf(loadBalancerId: string): ChildRow[] {
    return [...this.children.values()].filter((child) => child.loadBalancerId === loadBalancerId);
  }

  amphoraeOf(loadBalancerId: string): AmphoraRow[] {
    return [...this.amphorae.values()].filter((amphora) => amphora.loadBalancerId === loadBalancerId);
  }

  /** Amphorae that are not heard of, the longest silent first. */
  stale(): AmphoraRow[] {
    return [...this.amphorae.values()]
      .filter(({ staleSince }) => staleSince !== null)
      .sort((a, b) => (a.staleSince ?? 0) - (b.staleSince ?? 0));
  }

  /** Amphorae that a load balancer goes on without. */
  excluded(): AmphoraRow[] {
    return [...this.amphorae.values()].filter(
      ({ status, loadBalancerId }) =>
        status === 'ERROR' && this.loadBalancers.get(loadBalancerId)?.status === 'ACTIVE',
    );
  }

  apply(change: RowChange): void {
    switch (change.op) {
      case 'storeVip':
      case 'replacePorts':
        return; // addresses are of no interest here
      case 'insertAmphorae':
        for (const { id, role } of change.amphorae) {
          const { loadBalancerId } = change;
          this.amphorae.set(id, {
            ...{ id, loadBalancerId, role, computeId: null, staleSince: null },
            status: 'PENDING_CREATE',
          });
        }
        return;
      case 'patchAmphora': {
        const amphora = this.amphorae.get(change.amphoraId);
        if (amphora === undefined) return;
        amphora.status = change.patch.status ?? amphora.status;
        amphora.computeId = change.patch.compute_id ?? amphora.computeId;
        return;
      }
      case 'removeAmphora':
        this.amphorae.delete(change.amphoraId);
        return;
      case 'markAmphora': {
        const amphora = this.amphorae.get(change.amphoraId);
        if (amphora === undefined) return;
        amphora.staleSince = change.stale ? (amphora.staleSince ?? this.#now()) : null;
        if (!change.stale && amphora.status === 'FAILOVER_STOPPED') amphora.status = 'ALLOCATED';
        return;
      }
      case 'stopFailover': {
        const amphora = this.amphorae.get(change.amphoraId);
        if (amphora?.status === 'ALLOCATED' && amphora.staleSince !== null)
          amphora.status = 'FAILOVER_STOPPED';
        return;
      }
      case 'endFailover':
        for (const failover of this.automaticFailovers) {
          if (failover.loadBalancerId === change.loadBalancerId) failover.endedAt ??= this.#now();
        }
        return;
      case 'settle':
        this.#settle(change);
        return;
      case 'reject':
        this.#reject(change);
        return;
      case 'failLoadBalancer':
        this.#fail(change.loadBalancerId, change.error);
        return;
      case 'deleteLoadBalancer':
        for (const { id } of this.childrenOf(change.loadBalancerId)) this.children.delete(id);
        this.#loadBalancer(change.loadBalancerId).status = 'DELETED';
        return;
      default:
        throw new Error(`the simulation does not know the row change ${JSON.stringify(change)}`);
    }
  }

  #settle({ loadBalancerId, revision, decided, revive }: Extract<RowChange, { op: 'settle' }>): void {
    for (const child of this.childrenOf(loadBalancerId)) {
      const revived = revive && child.status === 'ERROR' && !child.withheld;
      if (child.revision > revision || !(isPending(child.status) || revived)) continue;
      if (child.status === 'PENDING_DELETE') this.children.delete(child.id);
      else Object.assign(child, { status: 'ACTIVE', error: null });
    }
    const loadBalancer = this.#loadBalancer(loadBalancerId);
    const status = loadBalancer.desiredRevision > decided ? 'PENDING_UPDATE' : 'ACTIVE';
    Object.assign(loadBalancer, { status, appliedRevision: revision, error: null });
  }

  #reject({ loadBalancerId, beyond, through, ...rejection }: Extract<RowChange, { op: 'reject' }>): void {
    const { error, withhold: withheld } = rejection;
    for (const child of this.#pending(loadBalancerId)) {
      const rejected = child.revision > beyond && child.revision <= through;
      if (rejected) Object.assign(child, { status: 'ERROR', withheld, error });
    }
  }

  #fail(loadBalancerId: string, error: ErrorRecord): void {
    for (const child of this.#pending(loadBalancerId)) Object.assign(child, { status: 'ERROR', error });
    Object.assign(this.#loadBalancer(loadBalancerId), { status: 'ERROR', error });
  }

  #pending(loadBalancerId: string): ChildRow[] {
    return this.childrenOf(loadBalancerId).filter(({ status }) => isPending(status));
  }

  #loadBalancer(id: string): LoadBalancerRow {
    const row = this.loadBalancers.get(id);
    if (row === undefined) throw new Error(`there is no load balancer ${id}`);
    return row;
  }
}
