import type pg from 'pg';

/**
 * Store ACTIVE load balancers with a listener, a pool, two members and a health monitor each, as if they had been made
 * through the API, but for their actors. Returns their ids.
 */
export async function seedLoadBalancers(pool: pg.Pool, project: string, count: number): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `WITH balancers AS (
       INSERT INTO load_balancers (id, project_id, provider, topology, name, vip_address, vip_subnet_id, vip_network_id,
         vip_port_id, provisioning_status, operating_status, revision, desired_revision, applied_revision)
       SELECT gen_random_uuid(), $1, 'amphora', 'SINGLE', 'seed ' || n, '198.18.0.1', gen_random_uuid(),
         gen_random_uuid(), gen_random_uuid(), 'ACTIVE', 'ONLINE', 1, 1, 1 FROM generate_series(1, $2::int) AS n
       RETURNING id),
     pools AS (
       INSERT INTO pools (id, load_balancer_id, project_id, name, protocol, lb_algorithm, provisioning_status,
         operating_status, revision)
       SELECT gen_random_uuid(), id, $1, 'pool', 'HTTP', 'ROUND_ROBIN', 'ACTIVE', 'ONLINE', 1 FROM balancers
       RETURNING id, load_balancer_id),
     listeners AS (
       INSERT INTO listeners (id, load_balancer_id, project_id, protocol, protocol_port, default_pool_id,
         provisioning_status, operating_status, revision)
       SELECT gen_random_uuid(), load_balancer_id, $1, 'HTTP', 80, id, 'ACTIVE', 'ONLINE', 1 FROM pools),
     members AS (
       INSERT INTO members (id, pool_id, load_balancer_id, project_id, address, protocol_port, provisioning_status,
         operating_status, revision)
       SELECT gen_random_uuid(), id, load_balancer_id, $1, '203.0.113.' || n, 80, 'ACTIVE', 'ONLINE', 1
       FROM pools CROSS JOIN generate_series(11, 12) AS n),
     monitors AS (
       INSERT INTO health_monitors (id, pool_id, load_balancer_id, project_id, type, delay, timeout, max_retries,
         provisioning_status, operating_status, revision)
       SELECT gen_random_uuid(), id, load_balancer_id, $1, 'TCP', 5, 3, 2, 'ACTIVE', 'ONLINE', 1 FROM pools)
     SELECT id FROM balancers`,
    [project, count],
  );
  // The status events of rows that nobody watches would only keep the publisher at work.
  await pool.query('TRUNCATE status_events');
  return rows.map(({ id }) => id);
}
