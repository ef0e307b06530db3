import type { Context } from 'hono';
import type { Db } from '../store/database.ts';
import type { Database } from '../store/schema.ts';
import { findRow, pathId, type Resource } from './resource.ts';

/** Counters of an object; all zero while amphorae report none (contract A7). */
const noTraffic = {
  bytes_in: 0,
  bytes_out: 0,
  active_connections: 0,
  total_connections: 0,
  request_errors: 0,
};

/** Answer `GET /{id}/stats`. */
export async function answerStats<T extends keyof Database, Row extends { id: string }>(
  context: Context,
  db: Db,
  resource: Resource<T, Row>,
): Promise<Response> {
  await findRow(db, resource, pathId(context, resource.title));
  return context.json({ stats: noTraffic });
}
