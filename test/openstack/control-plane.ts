import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { RestClient } from '../../src/cli/rest-client.ts';
import { createController } from '../../src/cli/serve/controller.ts';
import { openProvider } from '../../src/cli/serve/provider.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import type { ServiceCall } from '../../src/keystone/service.ts';
import { NoopAgent } from '../../src/providers/noop/agent.ts';
import { openDatabase } from '../../src/store/database.ts';
import { startTestNats } from '../support/nats.ts';
import { startTestPostgres } from '../support/postgres.ts';
import type { LoadBalancer } from '../support/system.ts';

/** A whole control plane on the cloud of `stand/`. Only the amphorae are missing: the fake hypervisor boots nothing. */
export interface ControlPlane {
  /** Where its REST API answers. */
  url: string;
  api: RestClient['call'];
  /** Every call to a service so far, oldest first. */
  calls: TimedCall[];
  /** Resolves at the first such call since the given one. */
  called(wanted: (call: ServiceCall) => boolean, since: number): Promise<void>;
  /** Create a load balancer and wait until it is ACTIVE or ERROR. */
  create(attributes: object): Promise<LoadBalancer>;
  settled(id: string): Promise<LoadBalancer>;
  /** When that was, as `performance.now()` has it. */
  settledAt(id: string): Promise<number>;
  /** Resolves when the first housekeeping has made its calls, which are for no load balancer; there is none for long then. */
  housekept(): Promise<void>;
  /** Delete it with all that it has, and wait until it is gone. */
  remove(id: string): Promise<void>;
  /** A flavor of load balancers with this data. */
  flavor(data: object): Promise<string>;
  /** An availability zone of load balancers, named as that of Nova in which their servers are to be. */
  zone(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** `endedAt` as `performance.now()` has it. */
export type TimedCall = ServiceCall & { endedAt: number };

/** Nova with its fake hypervisor needs 10 to 35 s for a boot on a busy machine. */
const SETTLED_SECONDS = 300;

export async function startControlPlane(settings: Partial<Config>): Promise<ControlPlane> {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  const postgres = await startTestPostgres();
  const nats = await startTestNats();
  const calls: TimedCall[] = [];
  const config: Config = {
    ...loadConfig({}, {}),
    provider: 'openstack',
    data_dir: directory,
    database_url: postgres.url,
    nats_url: nats.url,
    listen: '127.0.0.1:0',
    os_auth_url: 'http://127.0.0.1:15000/v3',
    os_username: 'octavia',
    os_password: 'secret',
    os_project_name: 'service',
    ...settings,
  };
  const controller = await createController(config, pino({ level: 'error' }), (parts) =>
    openProvider(parts, {
      agent: new NoopAgent(),
      onCall: (call) => calls.push({ ...call, endedAt: performance.now() }),
    }),
  );
  const client = new RestClient(controller.url as string);
  const path = (id: string) => `/v2.0/lbaas/loadbalancers/${id}`;
  const settled = (id: string) => {
    let last: LoadBalancer | undefined;
    return waitFor(`load balancer ${id} to settle`, SETTLED_SECONDS, async () => {
      last = (await client.call<{ loadbalancer: LoadBalancer }>('GET', path(id))).loadbalancer;
      return last.provisioning_status.startsWith('PENDING') ? undefined : last;
    });
  };
  const database = openDatabase(postgres.url, { maxConnections: 1, applicationName: 'test' });
  const called = async (wanted: (call: ServiceCall) => boolean, since: number) => {
    await waitFor('a call', SETTLED_SECONDS, async () => calls.slice(since).some(wanted) || undefined);
  };
  return {
    url: client.url,
    api: (method, url, body) => client.call(method, url, body),
    calls,
    called,
    // Its last: it looks at groups after servers and ports.
    housekept: () => called(({ path }) => path === '/security-groups', 0),
    settled,
    async settledAt(id) {
      const { updated_at } = await database.db
        .selectFrom('load_balancers')
        .select('updated_at')
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      return Number(updated_at) - performance.timeOrigin;
    },
    async create(attributes) {
      const { loadbalancer } = await client.call<{ loadbalancer: LoadBalancer }>(
        'POST',
        path('').slice(0, -1),
        {
          loadbalancer: attributes,
        },
      );
      return settled(loadbalancer.id);
    },
    async remove(id) {
      await client.call('DELETE', `${path(id)}?cascade=true`);
      await waitFor(`load balancer ${id} to be gone`, SETTLED_SECONDS, async () => {
        const { loadbalancers } = await client.call<{ loadbalancers: LoadBalancer[] }>(
          'GET',
          path('').slice(0, -1),
        );
        const found = loadbalancers.find((each) => each.id === id);
        if (found?.provisioning_status === 'ERROR') throw new Error(JSON.stringify(found.provisioning_error));
        return found === undefined ? true : undefined;
      });
    },
    async flavor(data) {
      const { flavorprofile } = await client.call<{ flavorprofile: { id: string } }>(
        'POST',
        '/v2.0/lbaas/flavorprofiles',
        {
          flavorprofile: {
            name: JSON.stringify(data).slice(0, 250),
            provider_name: 'amphora',
            flavor_data: JSON.stringify(data),
          },
        },
      );
      const { flavor } = await client.call<{ flavor: { id: string } }>('POST', '/v2.0/lbaas/flavors', {
        flavor: { name: flavorprofile.id, flavor_profile_id: flavorprofile.id },
      });
      return flavor.id;
    },
    async zone(name) {
      const base = '/v2.0/lbaas/availabilityzone';
      const availability_zone_data = JSON.stringify({ compute_zone: name });
      const profile = { name, provider_name: 'amphora', availability_zone_data };
      const { availability_zone_profile: made } = await client.call<{
        availability_zone_profile: { id: string };
      }>('POST', `${base}profiles`, { availability_zone_profile: profile });
      const availability_zone = { name, availability_zone_profile_id: made.id };
      await client.call('POST', `${base}s`, { availability_zone });
    },
    async stop() {
      await controller.close();
      await database.close();
      await nats.stop();
      await postgres.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
