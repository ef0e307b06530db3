import type { Context } from 'hono';
import type { Db } from '../store/database.ts';
import type { Database } from '../store/schema.ts';
import { sumTraffic, trafficOfAmphora } from '../store/statistics.ts';
import { notFound } from './fault.ts';
import { findRow, pathId, type Resource } from './resource.ts';

/** Answer `GET /{id}/stats` of a load balancer or a listener (contract A7). */
export async function answerStats<T extends keyof Database, Row extends { id: string }>(
  context: Context,
  db: Db,
  resource: Resource<T, Row>,
): Promise<Response> {
  const { id } = await findRow(db, resource, pathId(context, resource.title));
  const of = resource.title === 'Listener' ? { listenerId: id } : { loadBalancerId: id };
  return context.json({ stats: await sumTraffic(db, of) });
}

/** Answer `GET /octavia/amphorae/{id}/stats`: one entry for each listener; 404 while there is none (contract A18). */
export async function answerAmphoraStats(context: Context, db: Db, id: string): Promise<Response> {
  const rows = await trafficOfAmphora(db, id);
  if (rows.length === 0) throw notFound('Amphora', id);
  return context.json({
    amphora_stats: rows.map(({ amphora_id, load_balancer_id, ...row }) => ({
      id: amphora_id,
      loadbalancer_id: load_balancer_id,
      ...row,
    })),
  });
}
