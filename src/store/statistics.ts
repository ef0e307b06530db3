import { sql } from 'kysely';
import type { Queryable } from './database.ts';

/** Sums over listeners and amphorae that exist. */
export interface Traffic {
  bytes_in: number;
  bytes_out: number;
  active_connections: number;
  total_connections: number;
  request_errors: number;
}

/** What went through one listener, or through all of a load balancer. */
export async function sumTraffic(
  db: Queryable,
  of: { listenerId: string } | { loadBalancerId: string },
): Promise<Traffic> {
  const [column, id] = 'listenerId' in of ? ['id', of.listenerId] : ['load_balancer_id', of.loadBalancerId];
  const { rows } = await sql<Traffic>`
    SELECT coalesce(sum(bytes_in), 0)::bigint AS bytes_in, coalesce(sum(bytes_out), 0)::bigint AS bytes_out,
      coalesce(sum(active_connections), 0)::bigint AS active_connections,
      coalesce(sum(total_connections), 0)::bigint AS total_connections,
      coalesce(sum(request_errors), 0)::bigint AS request_errors
    FROM listeners listener
    JOIN listener_statistics statistics ON statistics.listener_id = listener.id
    JOIN amphorae amphora ON amphora.id = statistics.amphora_id AND amphora.status <> 'DELETED'
    WHERE listener.${sql.ref(column)} = ${id}`.execute(db);
  return rows[0] as Traffic;
}

/** What went through each listener on one amphora. */
export function trafficOfAmphora(db: Queryable, amphoraId: string) {
  return db
    .selectFrom('listener_statistics as statistics')
    .innerJoin('listeners as listener', 'listener.id', 'statistics.listener_id')
    .selectAll('statistics')
    .select('listener.load_balancer_id')
    .where('statistics.amphora_id', '=', amphoraId)
    .orderBy('statistics.listener_id')
    .execute();
}

/** Forget what was reported by amphorae, or of listeners, that are gone. */
export async function sweepReports(db: Queryable): Promise<void> {
  await sql`DELETE FROM listener_statistics WHERE NOT EXISTS (SELECT FROM listeners WHERE id = listener_id)
    OR NOT EXISTS (SELECT FROM amphorae WHERE id = amphora_id)`.execute(db);
  await sql`DELETE FROM amphora_health WHERE NOT EXISTS (SELECT FROM amphorae WHERE id = amphora_id)`.execute(
    db,
  );
}
