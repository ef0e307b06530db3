import type { Selectable, Transaction } from 'kysely';
import type { Envelope } from '../actors/bus.ts';
import type { ProvisioningStatus } from '../model/status.ts';
import { type ChildTable, findLoadBalancerId, findStatus } from '../store/children.ts';
import type { Queryable } from '../store/database.ts';
import { lockLoadBalancer, updatingLoadBalancer } from '../store/load-balancers.ts';
import type { Database, LoadBalancerTable } from '../store/schema.ts';
import type { Api } from './api.ts';
import { conflict, type Fault, immutable, notFound, type ResourceName } from './fault.ts';
import { checkQuota, type Growth } from './quota.ts';
import { aboutLoadBalancer } from './request-log.ts';

/** A write in progress: the load balancer is locked, and takes changes. */
export interface Change {
  transaction: Transaction<Database>;
  loadBalancer: Selectable<LoadBalancerTable>;
  /** What the rows that the user changes carry, so that a push which includes it settles them. */
  revision: number;
}

/** What a write did. */
export interface Outcome<T> {
  answer: T;
  /** False leaves the load balancer as it was. */
  changed?: boolean;
  /** The ports of the amphorae may have to follow: a member with a subnet came or went, or what is put on the VIP changed. */
  memberPorts?: boolean;
  /** The load balancer itself was changed, not something below it. */
  subject?: 'loadBalancer' | 'child';
}

/** The part of a row that says: to be brought into force with this revision, whatever became of it before. */
function pending(revision: number) {
  return { revision, withheld: false, error_code: null, error_message: null };
}

/** As a timestamp, PostgreSQL reads this word as the time of the transaction. */
const DATABASE_TIME = 'now';

export const toCreate = (revision: number) =>
  ({ ...pending(revision), provisioning_status: 'PENDING_CREATE' }) as const;

export const toUpdate = (revision: number) =>
  ({ ...pending(revision), provisioning_status: 'PENDING_UPDATE', updated_at: DATABASE_TIME }) as const;

export const toDelete = (revision: number) =>
  ({ ...pending(revision), provisioning_status: 'PENDING_DELETE' }) as const;

interface ChangeOptions {
  /** What the project would have more of. */
  growth?: Growth;
  /** The fault when the load balancer takes no changes. */
  refuse?: (status: string) => Fault;
}

/**
 * Every write to an existing load balancer or to anything below it: lock its row, check the quota and that it takes
 * changes, write the rows, raise the desired revision and tell the load balancer's actor, all in one transaction
 * (contract B2).
 */
export async function changeLoadBalancer<T>(
  api: Api,
  loadBalancerId: string,
  work: (change: Change) => Promise<Outcome<T>>,
  { growth, refuse = () => immutable('Load Balancer', loadBalancerId) }: ChangeOptions = {},
): Promise<T> {
  aboutLoadBalancer(loadBalancerId);
  const { answer, envelope } = await api.db.transaction().execute(async (transaction) => {
    const loadBalancer = await lockLoadBalancer(transaction, loadBalancerId);
    if (loadBalancer === undefined) throw notFound('Load Balancer', loadBalancerId);
    if (growth !== undefined) await checkQuota(api, transaction, loadBalancer.project_id, growth);
    const status = loadBalancer.provisioning_status;
    if (!takesChanges(api, status)) throw refuse(status);

    const revision = loadBalancer.desired_revision + 1;
    const outcome = await work({ transaction, loadBalancer, revision });
    if (outcome.changed === false) return { answer: outcome.answer };
    const updating = updatingLoadBalancer(transaction, loadBalancerId, {
      provisioning_status: 'PENDING_UPDATE',
      desired_revision: revision,
    });
    const { memberPorts = false, subject = 'child' } = outcome;
    const event = { type: 'CHANGED', revision, memberPorts, subject };
    return {
      answer: outcome.answer,
      envelope: await api.mailbox.send(updating, addressOf(loadBalancerId), event),
    };
  });
  if (envelope !== undefined) api.mailbox.publish(envelope);
  return answer;
}

/** While an earlier change is being applied, the setting decides: Octavia's answer is 409. */
function takesChanges({ config }: Api, status: ProvisioningStatus): boolean {
  return status === 'ACTIVE' || (status === 'PENDING_UPDATE' && config.api_mutations === 'queue');
}

/**
 * Mark a load balancer for deletion and tell its actor.
 * @param check runs before the state of the load balancer is looked at.
 */
export async function deleteLoadBalancer(
  api: Api,
  id: string,
  check: (transaction: Queryable) => Promise<void>,
): Promise<void> {
  aboutLoadBalancer(id);
  const envelope = await api.db.transaction().execute(async (transaction): Promise<Envelope> => {
    const loadBalancer = await lockLoadBalancer(transaction, id);
    if (loadBalancer === undefined) throw notFound('Load Balancer', id);
    await check(transaction);
    const status = loadBalancer.provisioning_status;
    if (status !== 'ACTIVE' && status !== 'ERROR') throw invalidState(status, id);
    const updating = updatingLoadBalancer(transaction, id, { provisioning_status: 'PENDING_DELETE' });
    return api.mailbox.send(updating, addressOf(id), { type: 'DELETE' });
  });
  api.mailbox.publish(envelope);
}

/** A load balancer whose own state does not allow what was asked. */
export const invalidState = (status: string, id: string) =>
  conflict(`Invalid state ${status} of loadbalancer resource ${id}`);

/** Where to find the actor of a load balancer. */
export function addressOf(loadBalancerId: string) {
  return { kind: 'load-balancer', id: loadBalancerId, loadBalancerId } as const;
}

/**
 * `changeLoadBalancer` for a request that names an object below it.
 * @throws Fault 404 when there is no such object, 409 when it is on its way out
 */
export async function changeBelow<T>(
  api: Api,
  object: { table: ChildTable; title: ResourceName; id: string },
  work: (change: Change) => Promise<Outcome<T>>,
  options: ChangeOptions = {},
): Promise<T> {
  const loadBalancerId = await findLoadBalancerId(api.db, object.table, object.id);
  if (loadBalancerId === undefined) throw notFound(object.title, object.id);
  const checked = async (change: Change) => {
    // Below an ACTIVE load balancer nothing is on its way out.
    if (change.loadBalancer.provisioning_status !== 'ACTIVE') {
      const status = await findStatus(change.transaction, object.table, object.id);
      if (status === undefined) throw notFound(object.title, object.id);
      if (status === 'PENDING_DELETE') throw immutable(object.title, object.id);
    }
    return work(change);
  };
  return changeLoadBalancer(api, loadBalancerId, checked, options);
}
