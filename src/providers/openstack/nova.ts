import { setTimeout as pause } from 'node:timers/promises';
import * as z from 'zod';
import { describeRefusal, type Refusal } from '../../keystone/refusal.ts';
import { type Service, segment } from '../../keystone/service.ts';
import { PlacementError, TerminalError, TransientError } from '../../model/errors.ts';
import type { Call } from '../call.ts';
import type { Compute, Server, ServerSpec } from '../compute.ts';
import { cloudConfig } from './cloud-config.ts';
import type { OpenstackImages } from './glance.ts';
import type { OpenstackNetwork } from './neutron.ts';
import { bindingFailed, DEVICE_OWNER } from './neutron-port.ts';
import { describeServer, faultOf, isGone, NovaServer } from './nova-server.ts';
import { OneAtATime } from './one-at-a-time.ts';
import type { ServerGroups } from './server-groups.ts';

/** Says of a server that it is ours. */
export const SERVER_TAG = 'amphorae';
/** Metadata: which of the server's networks the agent is reached by. */
const MANAGEMENT_NETWORK = 'amphorae_management_network';

const OneServer = z.object({ server: NovaServer });
const Servers = z.object({ servers: z.array(NovaServer) });
const Created = z.object({ server: z.object({ id: z.string() }) });
const Interfaces = z.object({
  interfaceAttachments: z.array(
    z.object({ net_id: z.string(), fixed_ips: z.array(z.object({ ip_address: z.string() })).nullish() }),
  ),
});

const PAGE = 500;
/** Between two looks at a server: the first soon, for the fast; then slower, for the many. */
const FIRST_LOOK_MS = 250;
const LATER_LOOK_MS = 2_000;
/** While a server is in these, Nova has not found a host for it. */
const UNPLACED = new Set<string | null | undefined>([undefined, null, 'scheduling']);

/** What new servers are made of where the load balancer's flavor does not say. */
export interface NovaOptions {
  computeFlavor: string;
  imageTag: string;
  managementNetworks: string[];
  /** Names or ids of the groups on the management ports. */
  managementSecurityGroups: string[];
  zone: string | undefined;
  keyName: string | undefined;
}

export interface NovaParts {
  nova: Service;
  network: OpenstackNetwork;
  images: OpenstackImages;
  groups: ServerGroups;
  options: NovaOptions;
}

/** Servers of Nova (contract F3). */
export class OpenstackCompute implements Compute {
  readonly #parts: NovaParts;
  readonly #creating = new OneAtATime<Server>();

  constructor(parts: NovaParts) {
    this.#parts = parts;
  }

  create(spec: ServerSpec, call: Call): Promise<Server> {
    return this.#creating.run(spec.name, () => this.#findOrCreate(spec, call));
  }

  async status(serverId: string, call: Call): Promise<Server | undefined> {
    const server = await this.#show(serverId, call);
    if (!server) return undefined;
    const managementAddress =
      server.status === 'ACTIVE' ? await this.#managementAddress(server, call) : undefined;
    return describeServer(server, { managementAddress });
  }

  async attachPort(serverId: string, portId: string, call: Call): Promise<void> {
    const port = await this.#parts.network.rawPort(portId, call);
    if (port?.device_id === serverId && !bindingFailed(port)) return;
    if (port?.device_id === serverId) await this.#unbind(portId, call);
    const order = {
      method: 'POST',
      path: `/servers/${segment(serverId)}/os-interface`,
      body: { interfaceAttachment: { port_id: portId } },
      purpose: `plug port ${portId} into server ${serverId}`,
    } as const;
    try {
      await this.#parts.nova.send(call, order, z.unknown(), explainAttach);
    } catch (error) {
      if (error instanceof PlacementError) await this.#unbindIfFailed(serverId, portId, call);
      throw error;
    }
  }

  async detachPort(serverId: string, portId: string, call: Call): Promise<void> {
    const order = {
      method: 'DELETE',
      path: `/servers/${segment(serverId)}/os-interface/${segment(portId)}`,
      purpose: `unplug port ${portId} from server ${serverId}`,
    } as const;
    await this.#parts.nova.find(call, order, z.unknown());
    // Nova answers before it has done it.
    await this.#until(call, async () => {
      const port = await this.#parts.network.rawPort(portId, call);
      return port === undefined || port.device_id !== serverId;
    });
  }

  async delete(serverId: string, call: Call): Promise<void> {
    const path = `/servers/${segment(serverId)}`;
    await this.#parts.nova.find(
      call,
      { method: 'DELETE', path, purpose: `delete server ${serverId}` },
      z.unknown(),
    );
    await this.#until(call, async () => (await this.#show(serverId, call)) === undefined);
  }

  async list({ name }: { name?: string }, call: Call): Promise<Server[]> {
    const found: NovaServer[] = [];
    for (let marker: string | undefined; ; ) {
      // Nova takes a name as a regular expression; ours are plain.
      const query = { tags: SERVER_TAG, name: name && `^${name}$`, limit: String(PAGE), marker };
      const order = { method: 'GET', path: '/servers/detail', query, purpose: 'list servers' } as const;
      const { servers } = await this.#parts.nova.send(call, order, Servers);
      found.push(...servers);
      marker = servers.at(-1)?.id;
      if (servers.length < PAGE) break;
    }
    return found
      .filter((server) => !isGone(server) && (name === undefined || server.name === name))
      .map((server) => describeServer(server));
  }

  listAntiAffinityGroups(call: Call): Promise<string[]> {
    return this.#parts.groups.list(call);
  }

  async deleteAntiAffinityGroup(name: string, call: Call): Promise<void> {
    await this.#parts.groups.delete(name, call);
  }

  async #findOrCreate(spec: ServerSpec, call: Call): Promise<Server> {
    for (const known of await this.list({ name: spec.name }, call)) {
      if (known.state !== 'ERROR') return this.#placed(known.id, spec, call);
      await this.delete(known.id, call);
    }
    const { images, groups, nova, options } = this.#parts;
    const computeFlavor = spec.computeFlavor ?? options.computeFlavor;
    const managementNetworks = spec.managementNetwork ? [spec.managementNetwork] : options.managementNetworks;
    const zone = spec.zone ?? options.zone;
    const [image, files, group] = await Promise.all([
      images.newest(spec.imageTag ?? options.imageTag, call),
      spec.files(),
      spec.antiAffinityGroup ? groups.ensure(spec.antiAffinityGroup, call) : undefined,
    ]);
    const { server } = await nova.send(
      call,
      {
        method: 'POST',
        path: '/servers',
        purpose: `create server ${spec.name}`,
        body: {
          server: {
            name: spec.name,
            imageRef: image,
            flavorRef: computeFlavor,
            networks: [
              ...managementNetworks.map((uuid) => ({ uuid })),
              ...spec.portIds.map((port) => ({ port })),
            ],
            user_data: Buffer.from(cloudConfig(files)).toString('base64'),
            config_drive: true,
            tags: [SERVER_TAG],
            metadata: { [MANAGEMENT_NETWORK]: managementNetworks[0] },
            ...(options.managementSecurityGroups.length > 0 && {
              security_groups: options.managementSecurityGroups.map((name) => ({ name })),
            }),
            ...(zone && { availability_zone: zone }),
            ...(options.keyName && { key_name: options.keyName }),
          },
          ...(group && { 'os:scheduler_hints': { group } }),
        },
      },
      Created,
      explainCreate,
    );
    return { ...(await this.#placed(server.id, spec, call)), imageId: image, computeFlavor };
  }

  /**
   * Nova accepts a server before it looks for a host. Wait until it has found one.
   * @throws PlacementError when there is none; the server is removed first
   */
  async #placed(serverId: string, spec: ServerSpec, call: Call): Promise<Server> {
    let last: NovaServer | undefined;
    await this.#until(call, async () => {
      last = await this.#show(serverId, call);
      return last?.status !== 'BUILD' || !UNPLACED.has(last['OS-EXT-STS:task_state']);
    });
    if (!last) throw new TerminalError('server_lost', `server ${spec.name} disappeared while it was placed`);
    if (last.status === 'ERROR') {
      await this.delete(serverId, call);
      throw faultOf(last);
    }
    return describeServer(last);
  }

  async #show(serverId: string, call: Call): Promise<NovaServer | undefined> {
    const path = `/servers/${segment(serverId)}`;
    const order = { method: 'GET', path, purpose: `read server ${serverId}` } as const;
    const server = (await this.#parts.nova.find(call, order, OneServer))?.server;
    return server && !isGone(server) ? server : undefined;
  }

  async #managementAddress({ id, metadata }: NovaServer, call: Call): Promise<string | undefined> {
    const path = `/servers/${segment(id)}/os-interface`;
    const order = { method: 'GET', path, purpose: `list interfaces of server ${id}` } as const;
    const interfaces = (await this.#parts.nova.find(call, order, Interfaces))?.interfaceAttachments ?? [];
    const network = metadata[MANAGEMENT_NETWORK] ?? this.#parts.options.managementNetworks[0];
    return interfaces.find(({ net_id }) => net_id === network)?.fixed_ips?.[0]?.ip_address;
  }

  async #unbindIfFailed(serverId: string, portId: string, call: Call): Promise<void> {
    const port = await this.#parts.network.rawPort(portId, call);
    if (port?.device_id === serverId && bindingFailed(port)) await this.#unbind(portId, call);
  }

  /** Nova leaves a port that could not be bound with the server's name on it, and then calls it in use. */
  async #unbind(portId: string, call: Call): Promise<void> {
    const unbound = { device_id: '', device_owner: DEVICE_OWNER, 'binding:host_id': '' };
    await this.#parts.network.putPort(portId, unbound, call);
  }

  /** OpenStack has no event for us: look until it is so, or the call's deadline ends it. */
  async #until(call: Call, reached: () => Promise<boolean>): Promise<void> {
    for (let ms = FIRST_LOOK_MS; !(await reached()); ms = Math.min(ms * 1.5, LATER_LOOK_MS)) {
      await pause(ms, undefined, { signal: call.signal }).catch((cause) => {
        throw new TransientError('cancelled', 'nova was not waited for any longer', { cause });
      });
    }
  }
}

function explainCreate(refusal: Refusal) {
  const { status, said } = refusal;
  if (status === 400 && /availability zone/i.test(said)) {
    return new PlacementError('no_valid_host', describeRefusal(refusal));
  }
  if (status === 400 && /flavor/i.test(said)) {
    return new PlacementError(
      'no_compute_flavor',
      `${describeRefusal(refusal)}; check compute_flavor of the load balancer's flavor`,
    );
  }
  return undefined;
}

/** What Nova's answers to a plug mean (contract F3). */
function explainAttach(refusal: Refusal) {
  const { status, said } = refusal;
  const words = describeRefusal(refusal);
  if (/Failed to claim PCI device/i.test(said)) {
    return new PlacementError('no_vf_left', `the host of the server has no VF left for the port; ${words}`);
  }
  if (/PortBindingFailed|binding failed/i.test(said)) {
    return new PlacementError(
      'port_binding_failed',
      `no agent on the host of the server could bind the port; ${words}`,
    );
  }
  if (/MessagingTimeout/i.test(said)) {
    return new TransientError('compute_unresponsive', `the server's hypervisor does not answer; ${words}`);
  }
  if (status === 409 && /while it is in/i.test(said)) {
    return /vm_state error/i.test(said)
      ? new TerminalError('server_failed', words)
      : new TransientError('server_busy', words);
  }
  if (status === 409) return new TerminalError('port_in_use', words);
  return undefined;
}
