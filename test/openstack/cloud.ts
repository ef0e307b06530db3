import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Agent } from 'undici';
import { z } from 'zod';
import type { ServiceAccount } from '../../src/keystone/account.ts';
import { endpointOf, type Facing } from '../../src/keystone/catalog.ts';
import { KeystoneSession } from '../../src/keystone/session.ts';
import { COMPUTE_API, SERVER_TAG } from '../../src/providers/openstack/nova.ts';
import { Service } from '../../src/providers/openstack/service.ts';

/** Where `stand/up` listens, and the account that a control plane has there. */
const AUTH_URL = 'http://127.0.0.1:15000/v3';
const PASSWORD = 'secret';

export const facing: Facing = { interface: 'public', region: '' };
export const octavia = account('octavia', 'service');

function account(username: string, projectName: string): ServiceAccount {
  const domain = { name: 'Default' };
  const user = { name: username, domain };
  const project = { name: projectName, domain };
  return { authUrl: AUTH_URL, method: { password: { user, password: PASSWORD, project } } };
}

const Id = z.object({ id: z.string() });
const call = () => ({ signal: AbortSignal.timeout(60_000) });

/** What an operator prepares: networks, an image, a compute flavor. All of it is removed again. */
export class Operator {
  readonly name = `test-${randomUUID().slice(0, 8)}`;
  readonly neutron: Service;
  readonly nova: Service;
  readonly glance: Service;
  readonly #dispatcher = new Agent();
  readonly #undo: (() => Promise<unknown>)[] = [];

  constructor() {
    const session = new KeystoneSession(account('admin', 'admin'), this.#dispatcher);
    const common = { session, facing, dispatcher: this.#dispatcher };
    this.neutron = new Service({ ...common, name: 'neutron', types: ['network'], base: '/v2.0' });
    this.nova = new Service({
      ...common,
      name: 'nova',
      types: ['compute'],
      headers: { 'openstack-api-version': COMPUTE_API },
    });
    this.glance = new Service({ ...common, name: 'glance', types: ['image'], base: '/v2' });
  }

  /** A shared VLAN network with one IPv4 subnet. */
  async network(options: {
    physicalNetwork: string;
    cidr: string;
  }): Promise<{ networkId: string; subnetId: string }> {
    const { physicalNetwork, cidr } = options;
    const { network } = await this.#make('neutron', '/networks', z.object({ network: Id }), {
      network: {
        name: `${this.name}-${cidr}`,
        shared: true,
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
      subnet: { network_id: network.id, ip_version: 4, cidr, enable_dhcp: false },
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

  /** Remove all that was made, newest first. */
  async close(): Promise<void> {
    try {
      for (const undo of this.#undo.reverse()) await undo();
    } finally {
      await this.#dispatcher.close();
    }
  }

  #make<T extends z.ZodType>(service: 'neutron' | 'nova' | 'glance', path: string, schema: T, body: object) {
    return this[service].send(call(), { method: 'POST', path, body, purpose: `prepare ${path}` }, schema);
  }

  #remove(service: 'neutron' | 'nova' | 'glance', path: string) {
    return this[service].find(call(), { method: 'DELETE', path, purpose: `remove ${path}` }, z.unknown());
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
    const session = new KeystoneSession(account('admin', 'admin'), this.#dispatcher);
    const token = await session.token();
    await this.#dispatcher.request({
      origin: endpointOf(token, ['image'], facing),
      path: `/v2/images/${imageId}/file`,
      method: 'PUT',
      headers: { 'x-auth-token': token.id, 'content-type': 'application/octet-stream' },
      body: 'x',
    });
  }
}
