import { type Context, Hono } from 'hono';
import * as z from 'zod';
import {
  deleteLimits,
  findLimits,
  type Limits,
  putLimits,
  type Quota,
  type QuotaResource,
  quotaAttributes,
  selectQuotas,
} from '../../store/quotas.ts';
import type { Api } from '../api.ts';
import { integer, text } from '../attributes.ts';
import { readBody } from '../body.ts';
import { invalidInput } from '../fault.ts';
import { limitsInForce } from '../quota.ts';
import { answerList, type OctaviaResource } from '../resource.ts';

/** Below zero is no limit, null the default. */
const Limit = integer(-1, 2_000_000_000).nullable().exactOptional();

/** Two limits have two names. */
const QuotaPut = z.strictObject({
  loadbalancer: Limit,
  load_balancer: Limit,
  listener: Limit,
  pool: Limit,
  member: Limit,
  healthmonitor: Limit,
  health_monitor: Limit,
  l7policy: Limit,
  l7rule: Limit,
});

export const quotas: Omit<OctaviaResource<'quotas', Quota>, 'present'> = {
  title: 'Quota',
  path: '/lbaas/quotas',
  policy: 'quota',
  bodies: { put: QuotaPut },
  root: 'quota',
  plural: 'quotas',
  select: selectQuotas,
  attributes: quotaAttributes,
};

/** `/quotas/{project_id}` (contract A15). */
export function quotaRoutes(api: Api): Hono {
  const { db } = api;
  const routes = new Hono();
  const present = (projectId: string, own?: Limits) => presentLimits(projectId, limitsInForce(api, own));
  const resource = { ...quotas, present: (row: Quota) => present(row.project_id, row) };

  routes.get('/', (context) => answerList(context, db, resource));
  // Octavia takes the word for a project's id, and says it back.
  routes.get('/defaults', (context) => context.json({ quota: present('defaults') }));
  routes.get('/:projectId/default', (context) => context.json({ quota: present(projectIn(context)) }));

  routes.get('/:projectId', async (context) => {
    const projectId = projectIn(context);
    return context.json({ quota: present(projectId, await findLimits(db, projectId)) });
  });

  routes.put('/:projectId', async (context) => {
    const projectId = projectIn(context);
    const { loadbalancer, healthmonitor, ...limits } = await readBody(context, quotas.root, QuotaPut);
    const stored = await putLimits(db, projectId, {
      ...limits,
      ...(loadbalancer !== undefined && { load_balancer: loadbalancer }),
      ...(healthmonitor !== undefined && { health_monitor: healthmonitor }),
    });
    return context.json({ quota: present(projectId, stored) }, 202);
  });

  routes.delete('/:projectId', async (context) => {
    await deleteLimits(db, projectIn(context));
    return context.body(null, 202);
  });

  return routes;
}

const ProjectId = text(36);

function projectIn(context: Context): string {
  const given = context.req.param('projectId');
  const { success, data } = ProjectId.safeParse(given);
  if (!success) throw invalidInput('project_id', given, 'Value should be the id of a project.');
  return data;
}

/** Each limit under each of its names. */
function presentLimits(projectId: string, limits: Record<QuotaResource, number>) {
  return {
    project_id: projectId,
    tenant_id: projectId,
    ...limits,
    loadbalancer: limits.load_balancer,
    healthmonitor: limits.health_monitor,
  };
}
