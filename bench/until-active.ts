import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from 'pg';

const POLL_MS = 1;
const DEADLINE_MS = 120_000;

/**
 * Wait until a load balancer's row says ACTIVE, as the next GET will. The database is asked, because many GETs would be
 * work of the very process that is measured: a fifth of what it does for a load balancer.
 * @throws Error when it says ERROR
 */
export async function untilActive(pool: Pool, id: string): Promise<void> {
  const query = {
    name: 'until_active',
    text: 'SELECT provisioning_status AS status FROM load_balancers WHERE id = $1',
    values: [id],
  };
  for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await pause(POLL_MS)) {
    const { rows } = await pool.query<{ status: string }>(query);
    if (rows[0]?.status === 'ACTIVE') return;
    if (rows[0]?.status === 'ERROR') throw new Error(`load balancer ${id} is in ERROR`);
  }
  throw new Error(`load balancer ${id} is not ACTIVE after two minutes`);
}
