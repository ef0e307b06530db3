import { readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Config } from '../../config.ts';
import { ensureBridge } from './bridges.ts';
import type { DirectPorts } from './direct-ports.ts';
import { ABSENT, type Ip, linkExists } from './ip.ts';
import { guestLinkName, hostLinkName } from './names.ts';
import type { Port } from './ports.ts';
import { type NetnsServer, namespaceOf } from './servers.ts';
import { standIns } from './stand-ins.ts';
import { virtualFunctions } from './virtual-functions.ts';

/** Puts ports into servers and takes them out again. Every step may be repeated. */
export class Plugs {
  readonly #ip: Ip;
  readonly #config: Pick<Config, 'netns_direct' | 'netns_stand_in_vfs'>;
  readonly #virtualFunctions: DirectPorts;
  readonly #standIns: DirectPorts;

  constructor(ip: Ip, config: Pick<Config, 'netns_direct' | 'netns_stand_in_vfs'>) {
    this.#ip = ip;
    this.#config = config;
    this.#virtualFunctions = virtualFunctions(ip);
    this.#standIns = standIns(ip, config);
  }

  /** What a direct port of that network is: a VF where there is a NIC for it, else a stand-in. */
  direct(network: Pick<Port, 'physicalFunction'>): DirectPorts {
    const real = network.physicalFunction !== null && this.#config.netns_direct !== 'macvlan';
    return real ? this.#virtualFunctions : this.#standIns;
  }

  async plug(server: NetnsServer, port: Port, signal: AbortSignal): Promise<void> {
    if (port.vnicType === 'direct') await this.direct(port).plug(server, port, signal);
    else await this.#plugVeth(server, port, signal);
  }

  async unplug(server: NetnsServer | undefined, port: Port, signal: AbortSignal): Promise<void> {
    if (port.vnicType === 'direct') await this.direct(port).unplug(server, port, signal);
    else await this.#unplugVeths([port], signal);
  }

  /** Take back the ports of a server that no longer runs; what is left in its namespaces goes with them. */
  async unplugAll(ports: Port[], signal: AbortSignal): Promise<void> {
    await this.#unplugVeths(
      ports.filter((port) => port.vnicType === 'normal'),
      signal,
    );
    for (const port of ports) {
      if (port.vnicType === 'direct') await this.direct(port).unplug(undefined, port, signal);
    }
  }

  /** The other ends vanish with them, wherever they are. */
  async #unplugVeths(ports: Port[], signal: AbortSignal): Promise<void> {
    const links = ports.map((port) => hostLinkName(port.id)).filter(linkExists);
    await this.#ip.batch(
      links.map((link) => ['link', 'delete', link]),
      { tolerate: ABSENT, signal },
    );
  }

  async #plugVeth(server: NetnsServer, port: Port, signal: AbortSignal): Promise<void> {
    const link = hostLinkName(port.id);
    // The last step joined it to the bridge; the other end exists for as long as this one does.
    if (linkExists(link) && (await masterOf(link)) === port.bridge) return;
    await ensureBridge(this.#ip, port, signal);
    const mtu = ['mtu', port.mtu];
    const peer = [
      'name',
      guestLinkName(port.id),
      ...mtu,
      'address',
      port.macAddress,
      'netns',
      namespaceOf(server),
    ];
    await this.#ip.batch(
      [
        ...(linkExists(link) ? [] : [['link', 'add', link, ...mtu, 'type', 'veth', 'peer', ...peer]]),
        ['link', 'set', link, 'addrgenmode', 'none'],
        ['link', 'set', link, 'master', port.bridge, 'up'],
      ],
      { signal },
    );
  }
}

async function masterOf(link: string): Promise<string | undefined> {
  return readlink(`/sys/class/net/${link}/master`).then(basename, () => undefined);
}
