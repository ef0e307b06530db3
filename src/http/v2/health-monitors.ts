import { Hono } from 'hono';
import type { Insertable } from 'kysely';
import type * as z from 'zod';
import { isUniqueViolation } from '../../store/database-errors.ts';
import {
  type HealthMonitor,
  healthMonitorAttributes,
  insertHealthMonitor,
  selectHealthMonitors,
  updateHealthMonitor,
} from '../../store/health-monitors.ts';
import type { HealthMonitorTable } from '../../store/schema.ts';
import type { Api } from '../api.ts';
import { withoutProject } from '../attributes.ts';
import { readBody } from '../body.ts';
import { changeBelow, toCreate, toDelete, toUpdate } from '../change.ts';
import { conflict } from '../fault.ts';
import { newId } from '../idempotency.ts';
import { healthMonitorLimits } from '../limits.ts';
import { presentCommon } from '../present.ts';
import { answerList, answerOne, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';
import {
  completeHealthMonitor,
  HealthMonitorPost,
  HealthMonitorPut,
  type NestedHealthMonitor,
} from '../schemas/health-monitor.ts';
import { lockPool } from './pools.ts';

export const healthMonitors: OctaviaResource<'health_monitors', HealthMonitor> = {
  title: 'Health Monitor',
  path: '/lbaas/healthmonitors',
  policy: 'healthmonitor',
  bodies: { post: HealthMonitorPost, put: HealthMonitorPut },
  root: 'healthmonitor',
  plural: 'healthmonitors',
  select: selectHealthMonitors,
  attributes: healthMonitorAttributes,
  present: presentHealthMonitor,
};

/** `/healthmonitors` (contract A12). */
export function healthMonitorRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', (context) => answerList(context, api.db, healthMonitors));
  routes.get('/:id', (context) => answerShow(context, api.db, healthMonitors));

  routes.post('/', async (context) => {
    const { pool_id: poolId, ...body } = await readBody(context, 'healthmonitor', HealthMonitorPost);
    const id = newId(context);
    const row = await changeBelow(
      api,
      { table: 'pools', title: 'Pool', id: poolId },
      async (change) => {
        const { transaction, loadBalancer, revision } = change;
        const pool = await lockPool(change, poolId);
        const values = completeHealthMonitor(withoutProject(body), pool.protocol, healthMonitorLimits(api));
        const parent = {
          id,
          poolId,
          loadBalancerId: loadBalancer.id,
          projectId: loadBalancer.project_id,
          revision,
        };
        const answer = await refusingSecond(poolId, () =>
          insertHealthMonitor(transaction, healthMonitorRow(values, parent)),
        );
        return { answer };
      },
      { growth: { health_monitor: 1 } },
    );
    return answerOne(context, healthMonitors, row, 201);
  });

  routes.put('/:id', async (context) => {
    const id = pathId(context, 'Health Monitor');
    const body = await readBody(context, 'healthmonitor', HealthMonitorPut);
    const row = await changeBelow(api, target(id), async (change) => {
      const { transaction, revision } = change;
      const stored = await findRow(transaction, healthMonitors, id);
      const pool = await lockPool(change, stored.pool_id);
      const { http_method, url_path, expected_codes } = completeHealthMonitor(
        { ...stored, ...body },
        pool.protocol,
        healthMonitorLimits(api),
      );
      await updateHealthMonitor(transaction, id, {
        ...body,
        http_method,
        url_path,
        expected_codes,
        ...toUpdate(revision),
      });
      return { answer: await findRow(transaction, healthMonitors, id) };
    });
    return answerOne(context, healthMonitors, row);
  });

  routes.delete('/:id', async (context) => {
    const id = pathId(context, 'Health Monitor');
    await changeBelow(api, target(id), async (change) => {
      const { pool_id: poolId } = await findRow(change.transaction, healthMonitors, id);
      await lockPool(change, poolId);
      await updateHealthMonitor(change.transaction, id, toDelete(change.revision));
      return { answer: undefined };
    });
    return context.body(null, 204);
  });

  return routes;
}

const target = (id: string) => ({ table: 'health_monitors', title: 'Health Monitor', id }) as const;

type Values = Omit<z.output<typeof NestedHealthMonitor>, 'project_id' | 'tenant_id'>;

/** The row of a new health monitor. */
export function healthMonitorRow(
  values: Values,
  parent: { id: string; poolId: string; loadBalancerId: string; projectId: string; revision: number },
): Insertable<HealthMonitorTable> {
  return {
    ...values,
    id: parent.id,
    pool_id: parent.poolId,
    load_balancer_id: parent.loadBalancerId,
    project_id: parent.projectId,
    ...toCreate(parent.revision),
  };
}

export function presentHealthMonitor(row: HealthMonitor) {
  return {
    ...presentCommon(row),
    type: row.type,
    delay: row.delay,
    timeout: row.timeout,
    max_retries: row.max_retries,
    max_retries_down: row.max_retries_down,
    http_method: row.http_method,
    url_path: row.url_path,
    expected_codes: row.expected_codes,
    http_version: row.http_version,
    domain_name: row.domain_name,
    pools: [{ id: row.pool_id }],
  };
}

async function refusingSecond<Row>(poolId: string, insert: () => Promise<Row>): Promise<Row> {
  try {
    return await insert();
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(`Pool ${poolId} already has a health monitor.`);
    throw error;
  }
}
