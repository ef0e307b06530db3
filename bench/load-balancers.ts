import type { Pool } from 'pg';
import { RestClient } from '../src/cli/rest-client.ts';
import { privatePostgres } from '../src/cli/up/supervisor.ts';
import { openDatabase } from '../src/store/database.ts';
import type { System } from '../test/support/system.ts';
import { cpuMilliseconds } from './process-time.ts';
import { untilActive } from './until-active.ts';

/** A user of the REST API who makes load balancers with a listener, a pool, two members and a health monitor. */
export class LoadBalancers {
  readonly #rest: RestClient;
  readonly #pool: Pool;
  readonly #subnetId: string;
  readonly #processes: System['processes'];
  /** Before the system is stopped. */
  readonly close: () => Promise<void>;

  constructor({ url, config, processes }: System, subnetId: string) {
    this.#rest = new RestClient(url);
    this.#subnetId = subnetId;
    this.#processes = processes;
    const database = openDatabase(privatePostgres(config).url, {
      maxConnections: 1,
      applicationName: 'bench',
    });
    this.#pool = database.pool;
    this.close = database.close;
  }

  /** Resolves with the id as soon as the request is answered. */
  async post(): Promise<string> {
    const { loadbalancer } = await this.#rest.call<{ loadbalancer: { id: string } }>(
      'POST',
      '/v2.0/lbaas/loadbalancers',
      {
        loadbalancer: {
          vip_subnet_id: this.#subnetId,
          listeners: [
            {
              protocol: 'HTTP',
              protocol_port: 80,
              default_pool: {
                name: 'pool',
                protocol: 'HTTP',
                lb_algorithm: 'ROUND_ROBIN',
                members: [
                  { address: '203.0.113.11', protocol_port: 80 },
                  { address: '203.0.113.12', protocol_port: 80 },
                ],
                healthmonitor: { type: 'HTTP', delay: 5, timeout: 3, max_retries: 2 },
              },
            },
          ],
        },
      },
    );
    return loadbalancer.id;
  }

  /** So many requests by so many clients, each with one at a time. */
  async postAll(count: number, clients: number): Promise<string[]> {
    let left = count;
    const ids: string[] = [];
    await Promise.all(
      Array.from({ length: clients }, async () => {
        while (left > 0) {
          left -= 1;
          ids.push(await this.post());
        }
      }),
    );
    return ids;
  }

  becomesActive(id: string): Promise<void> {
    return untilActive(this.#pool, id);
  }

  /** CPU time that the whole system has used so far, in milliseconds, without what the looks of `becomesActive` take. */
  async cpuOfSystem(): Promise<number> {
    const { rows } = await this.#pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return cpuMilliseconds(this.#processes().values()) - cpuMilliseconds(rows.map(({ pid }) => pid));
  }

  async remove(id: string): Promise<void> {
    await this.#rest.call('DELETE', `/v2.0/lbaas/loadbalancers/${id}?cascade=true`);
  }
}
