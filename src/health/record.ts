import { sql } from 'kysely';
import type { Heartbeat } from '../amphora-api/heartbeat.ts';
import type { Db } from '../store/database.ts';

/** An amphora whose heartbeat is to be believed, with the load balancer that it belongs to. */
export interface Sender {
  amphora_id: string;
  load_balancer_id: string;
  /** It is excluded: it lives, but serves something older than its load balancer says. */
  excluded: boolean;
}

/**
 * Note that these amphorae live, and add what their listeners counted. At most one heartbeat of each amphora.
 *
 * Left out are those of unknown amphorae, and those that were believed before (see `start` of a heartbeat). An amphora
 * that does not report every listener that its haproxy should serve is not noted as alive, unless it is known to lag behind.
 * @returns who sent the heartbeats that were believed
 */
export async function recordHeartbeats(db: Db, heartbeats: readonly Heartbeat[]): Promise<Sender[]> {
  const beats = heartbeats.map(({ id, seq, start, listeners }) => ({
    amphora_id: id,
    sequence: start === undefined ? null : start * 2 ** 32 + seq,
    listeners: Object.keys(listeners),
  }));
  const counters = heartbeats.flatMap(({ id, listeners }) =>
    Object.entries(listeners).map(([listener_id, { stats }]) => ({
      amphora_id: id,
      listener_id,
      ...stats,
    })),
  );
  // In order, so that two processes that record the same amphorae wait for each other and not both for ever.
  const { rows } = await sql<Sender>`
    WITH beat AS (
      SELECT beat.*, amphora.load_balancer_id, amphora.status = 'ERROR' AS excluded,
        amphora.status = 'ERROR' OR serving.status IN ('PENDING_CREATE', 'PENDING_UPDATE', 'PENDING_DELETE')
        OR NOT serving.admin_state_up OR serving.listeners <@ beat.listeners AS complete
      FROM jsonb_to_recordset(${JSON.stringify(beats)}::jsonb) AS beat (amphora_id uuid, sequence bigint, listeners uuid[])
      JOIN amphorae amphora ON amphora.id = beat.amphora_id AND amphora.status <> 'DELETED'
      JOIN LATERAL (
        SELECT provisioning_status AS status, admin_state_up, ARRAY(SELECT id FROM listeners
          WHERE load_balancer_id = load_balancers.id AND admin_state_up AND NOT withheld
            AND l4_protocol = 'TCP') AS listeners
        FROM load_balancers WHERE id = amphora.load_balancer_id AND provisioning_status <> 'DELETED') serving ON true),
    believed AS (
      INSERT INTO amphora_health AS known (amphora_id, last_update, sequence)
      SELECT amphora_id, now(), sequence FROM beat ORDER BY amphora_id
      ON CONFLICT (amphora_id) DO UPDATE SET (sequence, last_update) = (
        SELECT excluded.sequence, CASE WHEN complete THEN excluded.last_update ELSE known.last_update END
        FROM beat WHERE beat.amphora_id = excluded.amphora_id)
      WHERE known.sequence IS NULL OR excluded.sequence > known.sequence
      RETURNING amphora_id),
    counted AS (
      INSERT INTO listener_statistics AS known
        (listener_id, amphora_id, bytes_in, bytes_out, active_connections, total_connections, request_errors)
      SELECT listener_id, amphora_id, rx, tx, conns, totconns, ereq
      FROM jsonb_to_recordset(${JSON.stringify(counters)}::jsonb) AS counter (amphora_id uuid, listener_id uuid,
        rx bigint, tx bigint, conns bigint, totconns bigint, ereq bigint)
      JOIN believed USING (amphora_id) JOIN beat USING (amphora_id)
      JOIN listeners ON listeners.id = listener_id AND listeners.load_balancer_id = beat.load_balancer_id
      ORDER BY listener_id, amphora_id
      ON CONFLICT (listener_id, amphora_id) DO UPDATE SET
        active_connections = excluded.active_connections,
        bytes_in = excluded.bytes_in + known.bytes_in,
        bytes_out = excluded.bytes_out + known.bytes_out,
        total_connections = excluded.total_connections + known.total_connections,
        request_errors = excluded.request_errors + known.request_errors)
    SELECT amphora_id, load_balancer_id, excluded FROM beat JOIN believed USING (amphora_id)`.execute(db);
  return rows;
}
