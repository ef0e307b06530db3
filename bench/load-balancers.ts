import { setTimeout as pause } from 'node:timers/promises';
import { RestClient } from '../src/cli/rest-client.ts';
import type { LoadBalancer } from '../test/support/system.ts';

const POLL_MS = 4;

/** A user of the REST API who makes load balancers with a listener, a pool, two members and a health monitor. */
export class LoadBalancers {
  readonly #rest: RestClient;
  readonly #subnetId: string;

  constructor(url: string, subnetId: string) {
    this.#rest = new RestClient(url);
    this.#subnetId = subnetId;
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

  /** Asked often, because the answer is a figure; each question is a request that the control plane answers as well. */
  async becomesActive(id: string): Promise<void> {
    for (const deadline = Date.now() + 120_000; Date.now() < deadline; await pause(POLL_MS)) {
      const { loadbalancer } = await this.#rest.call<{ loadbalancer: LoadBalancer }>(
        'GET',
        `/v2.0/lbaas/loadbalancers/${id}`,
      );
      if (loadbalancer.provisioning_status === 'ACTIVE') return;
      if (loadbalancer.provisioning_status === 'ERROR') throw new Error(JSON.stringify(loadbalancer));
    }
    throw new Error(`load balancer ${id} is not ACTIVE after two minutes`);
  }

  async remove(id: string): Promise<void> {
    await this.#rest.call('DELETE', `/v2.0/lbaas/loadbalancers/${id}?cascade=true`);
  }
}
