import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import * as z from 'zod';
import type { ServiceAccount } from '../../src/keystone/account.ts';
import { endpointOf, type Facing } from '../../src/keystone/catalog.ts';
import type { Service } from '../../src/keystone/service.ts';
import { KeystoneSession } from '../../src/keystone/session.ts';
import { SERVER_TAG } from '../../src/providers/openstack/nova.ts';
import type { OpenstackOptions } from '../../src/providers/openstack/provider.ts';
import { openServices } from '../../src/providers/openstack/services.ts';

/** Where `stand/up` listens, and the account that a control plane has there. */
const AUTH_URL = 'http://127.0.0.1:15000/v3';
const PASSWORD = 'secret';

export const facing: Facing = { interface: 'public', region: '' };
export const octavia = account('octavia', 'service');

/** The cloud's administrator, for the command line. */
export const administrator = {
  OS_AUTH_URL: AUTH_URL,
  OS_USERNAME: 'admin',
  OS_PASSWORD: PASSWORD,
  OS_PROJECT_NAME: 'admin',
  OS_USER_DOMAIN_NAME: 'Default',
  OS_PROJECT_DOMAIN_NAME: 'Default',
  OS_IDENTITY_API_VERSION: '3',
};

export function account(username: string, projectName: string): ServiceAccount {
  const domain = { name: 'Default' };
  const user = { name: username, domain };
  const project = { name: projectName, domain };
  return { authUrl: AUTH_URL, method: { password: { user, password: PASSWORD, project } } };
}

const Id = z.object({ id: z.string() });
const Port = z.object({
  name: z.string(),
  network_id: z.string(),
  device_id: z.string(),
  fixed_ips: z.array(z.object({ ip_address: z.string() })),
  allowed_address_pairs: z.array(z.object({ ip_address: z.string() })),
  security_groups: z.array(z.string()),
  qos_policy_id: z.string().nullable(),
  'binding:vnic_type': z.string(),
  'binding:vif_type': z.string(),
  'binding:host_id': z.string(),
  'binding:profile': z.object({ pci_slot: z.string().optional() }),
});
const Group = z.object({
  id: z.string(),
  security_group_rules: z.array(
    z.object({
      direction: z.string(),
      ethertype: z.string(),
      protocol: z.string().nullable(),
      port_range_min: z.number().nullable(),
      remote_ip_prefix: z.string().nullable(),
    }),
  ),
});
const call = () => ({ signal: AbortSignal.timeout(60_000) });

type ServiceName = 'neutron' | 'nova' | 'glance' | 'placement';

/** What an operator prepares: networks, an image, a compute flavor. All of it is removed again. */
export class Operator {
  readonly name = `test-${randomUUID().slice(0, 8)}`;
  readonly neutron: Service;
  readonly nova: Service;
  readonly glance: Service;
  readonly placement: Service;
  readonly #session: KeystoneSession;
  readonly #closeServices: () => Promise<void>;
  readonly #undo: (() => Promise<unknown>)[] = [];

  constructor() {
    const services = openServices({ account: account('admin', 'admin'), facing });
    this.neutron = services.neutron;
    this.nova = services.nova;
    this.glance = services.glance;
    this.placement = services.placement;
    this.#session = services.session;
    this.#closeServices = services.close;
  }

  /** A VLAN network with one IPv4 subnet, for everybody unless it is not shared. */
  async network(options: {
    physicalNetwork: string;
    cidr: string;
    shared?: boolean;
    projectId?: string;
  }): Promise<{ networkId: string; subnetId: string }> {
    const { physicalNetwork, cidr, shared = true, projectId } = options;
    const owner = projectId ? { project_id: projectId } : {};
    const { network } = await this.#make('neutron', '/networks', z.object({ network: Id }), {
      network: {
        name: `${this.name}-${cidr}`,
        shared,
        ...owner,
        'provider:network_type': physicalNetwork.startsWith('physnet') ? 'vlan' : 'flat',
        'provider:physical_network': physicalNetwork,
      },
    });
    this.#undo.push(async () => {
      // A failed test leaves servers and ports; the next one must find the cloud as it was.
      await this.#removeServers();
      await this.#removePorts(network.id);
      await this.#remove('neutron', `/networks/${network.id}`);
    });
    const { subnet } = await this.#make('neutron', '/subnets', z.object({ subnet: Id }), {
      subnet: { network_id: network.id, ip_version: 4, cidr, enable_dhcp: false, ...owner },
    });
    return { networkId: network.id, subnetId: subnet.id };
  }

  /** A public image of one byte, with a tag. */
  async image(tag: string): Promise<string> {
    const { id } = await this.#make('glance', '/images', Id, {
      name: this.name,
      disk_format: 'raw',
      container_format: 'bare',
      visibility: 'public',
      tags: [tag],
    });
    this.#undo.push(() => this.#remove('glance', `/images/${id}`));
    await this.#upload(id);
    return id;
  }

  /** An empty security group. */
  async securityGroup(): Promise<string> {
    const group = { name: `${this.name}-${randomUUID().slice(0, 4)}` };
    const made = await this.#make('neutron', '/security-groups', z.object({ security_group: Id }), {
      security_group: group,
    });
    const { id } = made.security_group;
    this.#undo.push(() => this.#remove('neutron', `/security-groups/${id}`));
    return id;
  }

  /** A shared QoS policy without rules. */
  async qosPolicy(): Promise<string> {
    const { policy } = await this.#make('neutron', '/qos/policies', z.object({ policy: Id }), {
      policy: { name: this.name, shared: true },
    });
    this.#undo.push(() => this.#remove('neutron', `/qos/policies/${policy.id}`));
    return policy.id;
  }

  /** A small public compute flavor. */
  async computeFlavor(extraSpecs: Record<string, string> = {}): Promise<string> {
    const { flavor } = await this.#make('nova', '/flavors', z.object({ flavor: Id }), {
      flavor: { name: `${this.name}-${randomUUID().slice(0, 4)}`, vcpus: 1, ram: 64, disk: 0 },
    });
    this.#undo.push(() => this.#remove('nova', `/flavors/${flavor.id}`));
    if (Object.keys(extraSpecs).length > 0) {
      await this.#make('nova', `/flavors/${flavor.id}/os-extra_specs`, z.unknown(), {
        extra_specs: extraSpecs,
      });
    }
    return flavor.id;
  }

  /** An availability zone of this name with one host, on which there is no server yet. */
  async zone(name: string, host: string): Promise<void> {
    const Made = z.object({ aggregate: z.object({ id: z.number() }) });
    const { aggregate } = await this.#make('nova', '/os-aggregates', Made, {
      aggregate: { name, availability_zone: name },
    });
    const path = `/os-aggregates/${aggregate.id}`;
    this.#undo.push(() => this.#remove('nova', path));
    await this.#make('nova', `${path}/action`, z.unknown(), { add_host: { host } });
    this.#undo.push(async () => {
      // A host with servers does not leave its zone.
      await this.#removeServers();
      await this.#make('nova', `${path}/action`, z.unknown(), { remove_host: { host } });
    });
  }

  /** A resource provider with so many of a resource; gone when the answer is called. */
  async inventory(resourceClass: string, total: number): Promise<() => Promise<unknown>> {
    const Made = z.object({ uuid: z.string() });
    const { uuid } = await this.#make('placement', '/resource_providers', Made, { name: this.name });
    const path = `/resource_providers/${uuid}`;
    await this.placement.send(
      call(),
      {
        method: 'PUT',
        path: `${path}/inventories`,
        body: { resource_provider_generation: 0, inventories: { [resourceClass]: { total } } },
        purpose: `give ${total} ${resourceClass}`,
      },
      z.unknown(),
    );
    return () => this.#remove('placement', path);
  }

  /** Let the control plane have no more servers, or ports; the answer gives it as many as it likes again. */
  async exhaustQuota(kind: 'servers' | 'ports'): Promise<() => Promise<unknown>> {
    const project = await this.#serviceProject();
    const [service, path, root, key] =
      kind === 'servers'
        ? (['nova', `/os-quota-sets/${project}`, 'quota_set', 'instances'] as const)
        : (['neutron', `/quotas/${project}`, 'quota', 'port'] as const);
    // Nova still counts for a moment what it has just deleted, and takes no limit below that but by force.
    const force = kind === 'servers' ? { force: true } : {};
    const limit = (value: number) => {
      const body = { [root]: { [key]: value, ...force } };
      return this[service].send(call(), { method: 'PUT', path, body, purpose: `limit ${kind}` }, z.unknown());
    };
    await limit(0);
    return () => limit(-1);
  }

  /** What a provider needs to make amphorae of what was prepared here. */
  async providerOptions(managementNetwork: string): Promise<OpenstackOptions> {
    await this.image(this.name);
    return {
      account: octavia,
      facing,
      computeFlavor: await this.computeFlavor(),
      imageTag: this.name,
      imageOwner: undefined,
      managementNetworks: [managementNetwork],
      managementSecurityGroups: [],
      zone: undefined,
      keyName: undefined,
      antiAffinityPolicy: 'anti-affinity',
      lvs: true,
    };
  }

  /** Names of everything in the cloud that a control plane made. */
  async remains(): Promise<string[]> {
    const [servers, ports, groups, serverGroups] = [
      // Nova shows a server for a moment after it is gone.
      (
        await this.#list(
          'nova',
          '/servers/detail',
          'servers',
          z.object({ name: z.string(), status: z.string() }),
          {
            all_tenants: 'true',
            tags: SERVER_TAG,
          },
        )
      )
        .filter(({ status }) => status !== 'DELETED')
        .map(({ name, status }) => ({ name: `${name} ${status}` })),
      await this.#list('neutron', '/ports', 'ports', z.object({ name: z.string() })),
      await this.#list('neutron', '/security-groups', 'security_groups', z.object({ name: z.string() })),
      await this.#list('nova', '/os-server-groups', 'server_groups', z.object({ name: z.string() }), {
        all_projects: 'true',
      }),
    ];
    return [...servers, ...ports, ...groups, ...serverGroups]
      .map(({ name }) => name)
      .filter((name) => /^(amphora|octavia|lb)-/.test(name));
  }

  /** What a load balancer has in the cloud. */
  async partsOf(loadBalancerId: string) {
    const ports = await this.#list('neutron', '/ports', 'ports', Port);
    const vipPort = ports.find(({ name }) => name === `octavia-lb-${loadBalancerId}`);
    const address = vipPort?.fixed_ips[0]?.ip_address;
    const bases = ports.filter(({ allowed_address_pairs }) =>
      allowed_address_pairs.some(({ ip_address }) => ip_address === address),
    );
    const [base] = bases;
    if (!vipPort || !base) throw new Error(`load balancer ${loadBalancerId} has no ports in the cloud`);
    const servers = bases.map(({ device_id }) => device_id);
    const [group] = await this.#list('neutron', '/security-groups', 'security_groups', Group, {
      name: `lb-${loadBalancerId}`,
    });
    return {
      vipPort,
      base,
      memberPorts: ports.filter(
        ({ name, device_id }) => name.startsWith('octavia-lb-member-') && servers.includes(device_id),
      ),
      hosts: bases.map((port) => port['binding:host_id']),
      group: group && {
        id: group.id,
        ingress: group.security_group_rules
          .filter(({ direction }) => direction === 'ingress')
          .map(
            ({ ethertype, protocol, port_range_min, remote_ip_prefix }) =>
              `${ethertype} ${protocol} ${port_range_min ?? ''} ${remote_ip_prefix ?? 'any'}`,
          )
          .sort(),
      },
    };
  }

  /** Remove all that was made, newest first. */
  async close(): Promise<void> {
    try {
      for (const undo of this.#undo.reverse()) await undo();
    } finally {
      await this.#closeServices();
    }
  }

  async #list<T extends z.ZodType>(
    service: 'neutron' | 'nova',
    path: string,
    root: string,
    item: T,
    query: Record<string, string> = {},
  ): Promise<z.output<T>[]> {
    const order = { method: 'GET', path, query, purpose: `list ${root}` } as const;
    const answer = await this[service].send(call(), order, z.record(z.string(), z.unknown()));
    return z.array(item).parse(answer[root]);
  }

  #make<T extends z.ZodType>(service: ServiceName, path: string, schema: T, body: object) {
    return this[service].send(call(), { method: 'POST', path, body, purpose: `prepare ${path}` }, schema);
  }

  #remove(service: ServiceName, path: string) {
    return this[service].find(call(), { method: 'DELETE', path, purpose: `remove ${path}` }, z.unknown());
  }

  async #serviceProject(): Promise<string> {
    const dispatcher = new Agent();
    try {
      const { projectId } = await new KeystoneSession(octavia, dispatcher).token();
      return projectId as string;
    } finally {
      await dispatcher.close();
    }
  }

  async #removeServers(): Promise<void> {
    const query = { all_tenants: 'true', tags: SERVER_TAG };
    const list = { method: 'GET', path: '/servers', query, purpose: 'list what is left' } as const;
    const left = async () => (await this.nova.send(call(), list, z.object({ servers: z.array(Id) }))).servers;
    for (const { id } of await left()) await this.#remove('nova', `/servers/${id}`);
    const deadline = AbortSignal.timeout(60_000);
    while ((await left()).length > 0) await pause(250, undefined, { signal: deadline });
  }

  async #removePorts(networkId: string): Promise<void> {
    const query = { network_id: networkId };
    const list = { method: 'GET', path: '/ports', query, purpose: 'list what is left' } as const;
    const { ports } = await this.neutron.send(call(), list, z.object({ ports: z.array(Id) }));
    for (const { id } of ports) await this.#remove('neutron', `/ports/${id}`);
  }

  async #upload(imageId: string): Promise<void> {
    const token = await this.#session.token();
    const { statusCode } = await request(
      `${endpointOf(token, ['image'], facing)}/v2/images/${imageId}/file`,
      {
        method: 'PUT',
        headers: { 'x-auth-token': token.id, 'content-type': 'application/octet-stream' },
        body: 'x',
      },
    );
    if (statusCode !== 204) throw new Error(`upload of image ${imageId}: ${statusCode}`);
  }
}
