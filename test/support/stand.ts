import { execFileSync } from 'node:child_process';
import { DATA_PLANE_NAMESPACE } from '../../src/amphora-api/headers.ts';
import type { Namespace } from '../../src/cli/demo/namespace.ts';
import { privatePostgres } from '../../src/cli/up/supervisor.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { Config } from '../../src/config.ts';
import { namespaceName } from '../../src/providers/netns/names.ts';
import { initOf } from '../../src/providers/netns/processes.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { createNamespace, serveText } from './namespace.ts';
import { type LoadBalancer, type System, startSystem } from './system.ts';

/** A host with the netns provider, a dual-stack network, a client and two members on it. */
export interface Stand {
  system: System;
  db: Db;
  network: { subnet4: string; subnet6: string; bridge: string };
  client: Namespace;
  /** Addresses in 192.0.2.0/25 of the client's network: .10 allowed in `allowed_cidrs` tests, .99 not. */
  members: { namespace: Namespace; address4: string; address6: string; text: string }[];
  /** POST a load balancer and wait until it is ACTIVE or ERROR. */
  create(body?: object): Promise<LoadBalancer>;
  post(body?: object): Promise<string>;
  settled(id: string): Promise<LoadBalancer>;
  remove(id: string): Promise<void>;
  /** What the provider still has: servers, ports, namespaces and links, by name. Empty when all was given back. */
  remains(): Promise<string[]>;
  stop(): Promise<void>;
}

export const CIDR4 = '192.0.2.0/24';
export const CIDR6 = '2001:db8:5::/64';

export async function startStand(
  settings: Partial<Config> = {},
  options: { nodes?: number } = {},
): Promise<Stand> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    const system = await startSystem({ provider: 'netns', ...options, settings });
    stops.push(() => system.stop());
    const { db, close } = openDatabase(privatePostgres(system.config).url, {
      maxConnections: 2,
      applicationName: 'test',
    });
    stops.push(close);
    const { subnets, bridge } = await system.api<{ subnets: { subnet_id: string }[]; bridge: string }>(
      'POST',
      '/v2.0/amphorae/networks',
      {
        network: {
          name: 'stand',
          cidrs: [{ cidr: CIDR4 }, { cidr: CIDR6 }],
          vnic_types: ['normal', 'direct'],
        },
      },
    );
    const network = { subnet4: subnets[0]?.subnet_id ?? '', subnet6: subnets[1]?.subnet_id ?? '', bridge };

    const client = await createNamespace('client', bridge, [
      '192.0.2.210/24',
      '192.0.2.99/24',
      '2001:db8:5::d2/64',
      '2001:db8:5::63/64',
    ]);
    stops.push(() => client.remove());
    const members: Stand['members'] = [];
    for (const number of [1, 2]) {
      const [address4, address6] = [`192.0.2.22${number}`, `2001:db8:5::e${number}`];
      const namespace = await createNamespace(`member${number}`, bridge, [
        `${address4}/24`,
        `${address6}/64`,
      ]);
      stops.push(() => namespace.remove());
      const text = `member-${number}`;
      await serveText(namespace, 8080, text);
      members.push({ namespace, address4, address6, text });
    }

    const post = async (body: object = {}) => {
      const { loadbalancer } = await system.api<{ loadbalancer: LoadBalancer }>(
        'POST',
        '/v2.0/lbaas/loadbalancers',
        { loadbalancer: { vip_subnet_id: network.subnet4, ...body } },
      );
      return loadbalancer.id;
    };
    const settled = (id: string) => system.waitFor(id, ['ACTIVE', 'ERROR'], 60_000);
    return {
      system,
      db,
      network,
      client,
      members,
      post,
      settled,
      stop,
      create: async (body) => settled(await post(body)),
      async remove(id) {
        await system.api('DELETE', `/v2.0/lbaas/loadbalancers/${id}?cascade=true`);
        await waitFor(`load balancer ${id} to be gone`, 60, () => gone(system, id));
      },
      remains: () => remains(db, bridge),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A listener with a pool of the stand's members, for a single-call create. */
export function webListener(stand: Stand, changes: object = {}, family: 4 | 6 = 4): object {
  return {
    protocol: 'HTTP',
    protocol_port: 80,
    default_pool: {
      name: 'web',
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
      members: stand.members.map(({ address4, address6 }) => ({
        address: family === 4 ? address4 : address6,
        protocol_port: 8080,
      })),
    },
    ...changes,
  };
}

/** The answer to a GET from one of the client's addresses; undefined when there is none within a second. */
export async function ask(client: Namespace, url: string, from?: string): Promise<string | undefined> {
  const source = from === undefined ? [] : ['--interface', from];
  const command = ['curl', '--silent', '--globoff', '--fail', '--max-time', '1', ...source, url];
  return client.exec(command).then(
    (answer) => answer.trim(),
    () => undefined,
  );
}

/** Run a program in the data-plane namespace of an amphora. */
export function inAmphora(amphoraId: string, command: string[]): string {
  const init = initOf(namespaceName(amphoraId));
  if (init === undefined) throw new Error(`amphora ${amphoraId} does not run`);
  const inside = ['-t', String(init), '-m', '-p', 'ip', 'netns', 'exec', DATA_PLANE_NAMESPACE, ...command];
  return execFileSync('nsenter', inside, {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    encoding: 'utf8',
  });
}

export async function amphoraeOf(
  stand: Stand,
  loadBalancerId: string,
): Promise<{ id: string; status: string; vrrp_ip: string }[]> {
  const { amphorae } = await stand.system.api<{
    amphorae: { id: string; status: string; vrrp_ip: string; loadbalancer_id: string }[];
  }>('GET', `/v2.0/octavia/amphorae?loadbalancer_id=${loadBalancerId}`);
  return amphorae;
}

async function gone(system: System, id: string): Promise<true | undefined> {
  const { loadbalancers } = await system.api<{ loadbalancers: { id: string }[] }>(
    'GET',
    '/v2.0/lbaas/loadbalancers',
  );
  return loadbalancers.some((each) => each.id === id) ? undefined : true;
}

/** Asked of the database and, independently, of the kernel. */
async function remains(db: Db, bridge: string): Promise<string[]> {
  const servers = await db.selectFrom('netns_servers').select('name').execute();
  const ports = await db.selectFrom('netns_ports').select('name').execute();
  const amphorae = await db.selectFrom('amphorae').select('id').execute();
  const actors = await db.selectFrom('actors').select(['id', 'done']).where('kind', '=', 'amphora').execute();
  const namespaces = run('ip', 'netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0]);
  const links = JSON.parse(run('ip', '-json', 'link', 'show', 'master', bridge)) as { ifname: string }[];
  return [
    ...[...servers, ...ports].map(({ name }) => name),
    ...amphorae.map(({ id }) => `row of amphora ${id}`),
    ...actors.filter(({ done }) => !done).map(({ id }) => `actor of amphora ${id}`),
    ...actors.map(({ id }) => namespaceName(id)).filter((name) => namespaces.includes(name)),
    // Our clients and members are on the bridge as well; the provider's links are named after ids of ports.
    ...links.map(({ ifname }) => ifname).filter((name) => /^v[0-9a-f]{11}$/.test(name)),
  ];
}

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, encoding: 'utf8' });
}
