import * as z from 'zod';
import { type Service, segment } from '../../keystone/service.ts';
import { TerminalError } from '../../model/errors.ts';
import type { Call } from '../call.ts';
import type {
  Network,
  NetworkInfo,
  NetworkView,
  PortChanges,
  PortInfo,
  PortOption,
  PortSpec,
  SubnetInfo,
} from '../network.ts';
import {
  DEVICE_OWNER,
  NeutronPort,
  newPort,
  ownershipOf,
  PORT_FIELDS,
  portChanges,
  portInfo,
} from './neutron-port.ts';
import { OneAtATime } from './one-at-a-time.ts';
import { Recent } from './recent.ts';

const NeutronNetwork = z.object({
  id: z.string(),
  name: z.string(),
  mtu: z.number().int(),
  subnets: z.array(z.string()),
  'provider:physical_network': z.string().nullish(),
  /** Only where Neutron has this extension; without it, every port is filtered. */
  port_security_enabled: z.boolean().default(true),
});

const NeutronSubnet = z.object({
  id: z.string(),
  network_id: z.string(),
  cidr: z.string(),
  ip_version: z.union([z.literal(4), z.literal(6)]),
  gateway_ip: z.string().nullable(),
  host_routes: z.array(z.object({ destination: z.string(), nexthop: z.string() })),
});

const Availability = z.object({
  network_ip_availability: z.object({
    subnet_ip_availability: z.array(
      z.object({ subnet_id: z.string(), total_ips: z.number(), used_ips: z.number() }),
    ),
  }),
});

const OneNetwork = z.object({ network: NeutronNetwork });
const OneSubnet = z.object({ subnet: NeutronSubnet });
const OnePort = z.object({ port: NeutronPort });
const ListedPorts = z.object({ ports: z.array(NeutronPort.extend({ description: z.string().optional() })) });
const PAGE = 500;
/** Networks and subnets hardly change, and every plug asks for them. */
const REMEMBER_MS = 30_000;

/** Networks and ports of Neutron (contract F1). */
export class OpenstackNetwork implements Network {
  readonly #neutron: Service;
  readonly #networks = new Recent<z.output<typeof NeutronNetwork>>(REMEMBER_MS);
  readonly #subnets = new Recent<SubnetInfo>(REMEMBER_MS);
  readonly #creating = new OneAtATime<PortInfo>();

  constructor(neutron: Service) {
    this.#neutron = neutron;
  }

  seenBy(token: string): NetworkView {
    return new OpenstackNetwork(this.#neutron.onBehalfOf(token));
  }

  async getNetwork(networkId: string, call: Call): Promise<NetworkInfo | undefined> {
    const network = await this.#network(networkId, call);
    if (!network) return undefined;
    return {
      id: network.id,
      name: network.name,
      mtu: network.mtu,
      subnetIds: network.subnets,
      // A VF is a slice of a NIC in a physical network; an overlay has none.
      vnicTypes: network['provider:physical_network'] ? ['normal', 'direct'] : ['normal'],
      portSecurity: network.port_security_enabled,
    };
  }

  getSubnet(subnetId: string, call: Call): Promise<SubnetInfo | undefined> {
    return this.#subnets.get(subnetId, async () => {
      const order = {
        method: 'GET',
        path: `/subnets/${segment(subnetId)}`,
        purpose: `read subnet ${subnetId}`,
      } as const;
      const found = await this.#neutron.find(call, order, OneSubnet);
      return (
        found && {
          id: found.subnet.id,
          networkId: found.subnet.network_id,
          cidr: found.subnet.cidr,
          ipVersion: found.subnet.ip_version,
          gatewayIp: found.subnet.gateway_ip,
          hostRoutes: found.subnet.host_routes,
        }
      );
    });
  }

  async freeAddresses(networkId: string, call: Call): Promise<Map<string, number> | undefined> {
    const path = `/network-ip-availabilities/${segment(networkId)}`;
    const order = {
      method: 'GET',
      path,
      purpose: `count the free addresses of network ${networkId}`,
    } as const;
    const found = await this.#neutron.find(call, order, Availability);
    return (
      found &&
      new Map(
        found.network_ip_availability.subnet_ip_availability.map(({ subnet_id, total_ips, used_ips }) => [
          subnet_id,
          total_ips - used_ips,
        ]),
      )
    );
  }

  async getPort(portId: string, call: Call): Promise<PortInfo | undefined> {
    const port = await this.rawPort(portId, call);
    return port && this.#describe(port, call);
  }

  /** The port as Neutron has it, binding included. */
  async rawPort(portId: string, call: Call): Promise<NeutronPort | undefined> {
    const order = {
      method: 'GET',
      path: `/ports/${segment(portId)}`,
      purpose: `read port ${portId}`,
    } as const;
    return (await this.#neutron.find(call, order, OnePort))?.port;
  }

  createPort(spec: PortSpec, call: Call): Promise<PortInfo> {
    return this.#creating.run(spec.name, () => this.#findOrCreate(spec, call));
  }

  async #findOrCreate(spec: PortSpec, call: Call): Promise<PortInfo> {
    const [known] = await this.#list({ name: spec.name }, call);
    if (known) return this.#describe(await this.#withSubnets(known, spec, call), call);
    const { port } = await this.#neutron.send(
      call,
      {
        method: 'POST',
        path: '/ports',
        body: { port: newPort(spec) },
        purpose: `create port ${spec.name} in network ${spec.networkId}`,
      },
      OnePort,
      ({ status, said, type }) =>
        // Neutron calls an unknown subnet a bad request.
        status === 404 ||
        type === 'SubnetNotFound' ||
        /could not find subnet|Subnet .* could not be found/i.test(said)
          ? new TerminalError('not_found', `neutron knows no such network or subnet: ${said}`)
          : undefined,
    );
    return this.#describe(port, call);
  }

  /** A member in another subnet of a network that has a port already: the port needs an address there. */
  async #withSubnets(port: NeutronPort, { fixedIps = [] }: PortSpec, call: Call): Promise<NeutronPort> {
    const missing = fixedIps.filter(
      ({ subnetId }) => subnetId && port.fixed_ips.every(({ subnet_id }) => subnet_id !== subnetId),
    );
    if (missing.length === 0) return port;
    const fixed_ips = [...port.fixed_ips, ...missing.map(({ subnetId }) => ({ subnet_id: subnetId }))];
    return this.putPort(port.id, { fixed_ips }, call);
  }

  async deletePort(portId: string, call: Call): Promise<void> {
    const purpose = `delete port ${portId}`;
    await this.#neutron.find(
      call,
      { method: 'DELETE', path: `/ports/${segment(portId)}`, purpose },
      z.unknown(),
    );
  }

  async updatePort(portId: string, changes: PortChanges, call: Call): Promise<void> {
    await this.putPort(portId, portChanges(changes), call);
  }

  async hasPortOption(option: PortOption, id: string, call: Call): Promise<boolean> {
    const collection = { 'Security Group': 'security-groups', 'QoS Policy': 'qos/policies' }[option];
    const path = `/${collection}/${segment(id)}`;
    const order = { method: 'GET', path, query: { fields: 'id' }, purpose: `read ${option} ${id}` } as const;
    return (await this.#neutron.find(call, order, z.unknown())) !== undefined;
  }

  /** Change a port in Neutron's own words. */
  async putPort(portId: string, port: object, call: Call): Promise<NeutronPort> {
    const purpose = `change port ${portId}`;
    const path = `/ports/${segment(portId)}`;
    return (await this.#neutron.send(call, { method: 'PUT', path, body: { port }, purpose }, OnePort)).port;
  }

  async listPorts(
    { namePrefix = '', deviceId }: { namePrefix?: string; deviceId?: string },
    call: Call,
  ): Promise<PortInfo[]> {
    const description = ownershipOf(namePrefix);
    const ports =
      description || deviceId
        ? await this.#list(
            { ...(description && { description }), ...(deviceId && { device_id: deviceId }) },
            call,
          )
        : await this.#listOwn(call);
    const ours = ports.filter(
      (port) => port.name.startsWith(namePrefix) && port.description === ownershipOf(port.name),
    );
    return Promise.all(ours.map((port) => this.#describe(port, call)));
  }

  /** Those of amphorae are in our project, those of VIPs in their users' but never plugged. A cloud has many more. */
  async #listOwn(call: Call) {
    const project = await this.#neutron.project();
    const [plugged, reserved] = await Promise.all([
      project ? this.#list({ project_id: project }, call) : [],
      this.#list({ device_owner: DEVICE_OWNER }, call),
    ]);
    return [...new Map([...plugged, ...reserved].map((port) => [port.id, port])).values()];
  }

  async #list(filter: Record<string, string>, call: Call) {
    const found: z.output<typeof ListedPorts>['ports'] = [];
    for (let marker: string | undefined; ; marker = found.at(-1)?.id) {
      const query = {
        ...filter,
        fields: [...PORT_FIELDS, 'description'],
        limit: String(PAGE),
        sort_key: 'id',
        sort_dir: 'asc',
        marker,
      };
      const order = { method: 'GET', path: '/ports', query, purpose: 'list ports' } as const;
      const { ports } = await this.#neutron.send(call, order, ListedPorts);
      found.push(...ports);
      if (ports.length < PAGE) return found;
    }
  }

  async #describe(port: NeutronPort, call: Call): Promise<PortInfo> {
    const network = await this.#network(port.network_id, call);
    if (!network) {
      throw new TerminalError(
        'not_found',
        `network ${port.network_id} of port ${port.id} does not exist any more`,
      );
    }
    return portInfo(port, network.mtu);
  }

  #network(networkId: string, call: Call) {
    return this.#networks.get(networkId, async () => {
      const path = `/networks/${segment(networkId)}`;
      const order = { method: 'GET', path, purpose: `read network ${networkId}` } as const;
      return (await this.#neutron.find(call, order, OneNetwork))?.network;
    });
  }
}
