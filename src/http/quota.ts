import type { Queryable } from '../store/database.ts';
import { countUsed, findLimits, type Limits, lockQuota, type QuotaResource } from '../store/quotas.ts';
import type { Api } from './api.ts';
import { Fault, type ResourceName } from './fault.ts';

/** How many objects of each kind a request makes. */
export type Growth = Partial<Record<QuotaResource, number>>;

const TITLES: Record<QuotaResource, ResourceName> = {
  load_balancer: 'Load Balancer',
  listener: 'Listener',
  pool: 'Pool',
  member: 'Member',
  health_monitor: 'Health Monitor',
  l7policy: 'L7 Policy',
  l7rule: 'L7 Rule',
};

/** The limits that are in force for a project, given its own; below zero is none. */
export function limitsInForce({ config }: Pick<Api, 'config'>, own?: Limits): Record<QuotaResource, number> {
  return {
    load_balancer: own?.load_balancer ?? config.quota_load_balancers,
    listener: own?.listener ?? config.quota_listeners,
    pool: own?.pool ?? config.quota_pools,
    member: own?.member ?? config.quota_members,
    health_monitor: own?.health_monitor ?? config.quota_health_monitors,
    l7policy: own?.l7policy ?? config.quota_l7policies,
    l7rule: own?.l7rule ?? config.quota_l7rules,
  };
}

/**
 * Refuse what would take a project beyond its quota. Objects count while they exist, whatever their status. Call it in the
 * transaction that makes them: until it ends, others of the project that are limited wait.
 * @throws Fault 403
 */
export async function checkQuota(
  api: Pick<Api, 'config'>,
  transaction: Queryable,
  projectId: string,
  growth: Growth,
): Promise<void> {
  const limits = limitsInForce(api, await findLimits(transaction, projectId));
  const limited = (Object.keys(growth) as QuotaResource[]).filter(
    (resource) => limits[resource] >= 0 && (growth[resource] ?? 0) > 0,
  );
  if (limited.length === 0) return;
  await lockQuota(transaction, projectId);
  for (const resource of limited) {
    const limit = limits[resource];
    const used = await countUsed(transaction, resource, projectId, limit);
    if (used + (growth[resource] ?? 0) > limit)
      throw new Fault(403, `Quota has been met for resources: ${TITLES[resource]}`);
  }
}
