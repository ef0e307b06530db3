import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { Queryable } from './database.ts';
import { columns, provisionedColumns } from './list.ts';
import type { HealthMonitorTable } from './schema.ts';

export type HealthMonitor = Selectable<HealthMonitorTable>;

export const healthMonitorAttributes = {
  ...columns('health_monitors', {
    ...provisionedColumns,
    pool_id: 'uuid',
    type: 'text',
    delay: 'integer',
    timeout: 'integer',
    max_retries: 'integer',
    max_retries_down: 'integer',
    http_method: 'text',
    url_path: 'text',
    expected_codes: 'text',
    http_version: 'number',
    domain_name: 'text',
  }),
  loadbalancer_id: { type: 'uuid', expression: sql.ref('health_monitors.load_balancer_id') },
} as const;

export function selectHealthMonitors(db: Queryable) {
  return db.selectFrom('health_monitors').selectAll('health_monitors');
}

export function insertHealthMonitor(
  transaction: Queryable,
  row: Insertable<HealthMonitorTable>,
): Promise<Selectable<HealthMonitorTable>> {
  return transaction.insertInto('health_monitors').values(row).returningAll().executeTakeFirstOrThrow();
}

export async function updateHealthMonitor(
  transaction: Queryable,
  id: string,
  values: Updateable<HealthMonitorTable>,
): Promise<void> {
  await transaction.updateTable('health_monitors').set(values).where('id', '=', id).execute();
}
