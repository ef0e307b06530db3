import { type Selectable, sql } from 'kysely';
import type { Queryable } from './database.ts';
import { columns } from './list.ts';
import type { QuotaTable } from './schema.ts';

/** What is limited, with the table whose rows count. */
const tables = {
  load_balancer: 'load_balancers',
  listener: 'listeners',
  pool: 'pools',
  member: 'members',
  health_monitor: 'health_monitors',
  l7policy: 'l7policies',
  l7rule: 'l7rules',
} as const;

export type QuotaResource = keyof typeof tables;
export const quotaResources = Object.keys(tables) as QuotaResource[];

/** Limits of a project; null is the default, a negative number none. */
export type Limits = Record<QuotaResource, number | null>;

/** Quotas have no id: they go by their project. */
export interface Quota extends Selectable<QuotaTable> {
  id: string;
}

export const quotaAttributes = {
  ...columns('quotas', {
    project_id: 'text',
    load_balancer: 'integer',
    listener: 'integer',
    pool: 'integer',
    member: 'integer',
    health_monitor: 'integer',
    l7policy: 'integer',
    l7rule: 'integer',
  }),
  id: { type: 'text', expression: sql.ref('quotas.project_id') },
} as const;

export function selectQuotas(db: Queryable) {
  return db.selectFrom('quotas').selectAll('quotas').select('project_id as id');
}

export function findLimits(db: Queryable, projectId: string): Promise<Limits | undefined> {
  return db
    .selectFrom('quotas')
    .select(quotaResources)
    .where('project_id', '=', projectId)
    .executeTakeFirst();
}

/** Set some limits of a project; the others stay. */
export async function putLimits(db: Queryable, projectId: string, limits: Partial<Limits>): Promise<Limits> {
  return db
    .insertInto('quotas')
    .values({ project_id: projectId, ...limits })
    .onConflict((conflict) => conflict.column('project_id').doUpdateSet({ project_id: projectId, ...limits }))
    .returning(quotaResources)
    .executeTakeFirstOrThrow();
}

export async function deleteLimits(db: Queryable, projectId: string): Promise<void> {
  await db.deleteFrom('quotas').where('project_id', '=', projectId).execute();
}

/** Let nobody else count what the project has until the transaction ends, so that what is counted stays true. */
export async function lockQuota(transaction: Queryable, projectId: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`quota ${projectId}`}, 0))`.execute(transaction);
}

/** How many objects a project has, counted no further than `enough`. */
export async function countUsed(
  transaction: Queryable,
  resource: QuotaResource,
  projectId: string,
  enough: number,
): Promise<number> {
  const { rows } = await sql<{ used: number }>`select count(*) as used from (
    select from ${sql.table(tables[resource])}
    where project_id = ${projectId} and provisioning_status <> 'DELETED' limit ${enough}) as counted`.execute(
    transaction,
  );
  return rows[0]?.used ?? 0;
}
