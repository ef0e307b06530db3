import { isIPv6 } from 'node:net';
import { TerminalError } from '../../model/errors.ts';
import type { Network, NetworkInfo, PortChanges, PortInfo, PortSpec, SubnetInfo } from '../network.ts';
import { addressOf, macOf, NOOP_CIDR, NOOP_GATEWAY, uuidOf } from './ids.ts';

const MTU = 1500;

/**
 * A network where every UUID exists: as a network, as the one subnet of that network, and as a port in it. A port
 * that this process did not make is answered as another process (or an earlier life) would have made it.
 */
export class NoopNetwork implements Network {
  readonly #permissive: boolean;
  readonly #ports = new Map<string, PortInfo>();
  /** `<subnet>/<address>` to the port that has it. */
  readonly #taken = new Map<string, string>();
  readonly #deleted = new Set<string>();

  /**
   * @param options.permissive every UUID is a subnet of every network, and an address may be used twice: whoever tests clients
   *   makes up ids and addresses.
   */
  constructor({ permissive = false } = {}) {
    this.#permissive = permissive;
  }

  async getNetwork(networkId: string): Promise<NetworkInfo> {
    const name = `noop-${networkId}`;
    const subnetIds = [networkId];
    if (this.#permissive) subnetIds.includes = () => true;
    return { id: networkId, name, mtu: MTU, subnetIds, vnicTypes: ['normal', 'direct'], portSecurity: true };
  }

  async getSubnet(subnetId: string): Promise<SubnetInfo> {
    return {
      id: subnetId,
      networkId: subnetId,
      cidr: NOOP_CIDR,
      ipVersion: 4,
      gatewayIp: NOOP_GATEWAY,
      hostRoutes: [],
    };
  }

  async getPort(portId: string): Promise<PortInfo | undefined> {
    if (this.#deleted.has(portId)) return undefined;
    return (
      this.#ports.get(portId) ?? {
        id: portId,
        name: '',
        networkId: portId,
        macAddress: macOf(portId),
        vnicType: 'normal',
        fixedIps: [{ subnetId: portId, ipAddress: addressOf(portId) }],
        mtu: MTU,
        deviceId: null,
        securityGroupIds: [],
        qosPolicyId: null,
      }
    );
  }

  async createPort(spec: PortSpec): Promise<PortInfo> {
    const id = uuidOf(`port/${spec.name}`);
    const known = this.#ports.get(id);
    if (known) return known;
    const requested = spec.fixedIps?.length ? spec.fixedIps : [{}];
    const fixedIps = requested.map(({ subnetId = spec.networkId, ipAddress }) => ({
      subnetId,
      ipAddress: ipAddress ?? this.#freeAddress(subnetId, id),
    }));
    const inUse = fixedIps.find((fixedIp) => this.#taken.has(keyOf(fixedIp)));
    if (inUse && !this.#permissive) {
      throw new TerminalError(
        'address_in_use',
        `${inUse.ipAddress} is in use; ask for another address or for none`,
      );
    }
    for (const fixedIp of fixedIps) this.#taken.set(keyOf(fixedIp), id);
    const port = {
      id,
      name: spec.name,
      networkId: spec.networkId,
      macAddress: macOf(id),
      vnicType: spec.vnicType,
      fixedIps,
      mtu: MTU,
      deviceId: spec.deviceId ?? null,
      securityGroupIds: spec.securityGroupIds ?? [],
      qosPolicyId: spec.qosPolicyId ?? null,
    };
    this.#ports.set(id, port);
    this.#deleted.delete(id);
    return port;
  }

  async deletePort(portId: string): Promise<void> {
    for (const fixedIp of this.#ports.get(portId)?.fixedIps ?? []) this.#taken.delete(keyOf(fixedIp));
    this.#ports.delete(portId);
    this.#deleted.add(portId);
  }

  async updatePort(portId: string, { securityGroupIds, qosPolicyId }: PortChanges): Promise<void> {
    const port = this.#ports.get(portId);
    if (!port) return;
    this.#ports.set(portId, {
      ...port,
      ...(securityGroupIds && { securityGroupIds }),
      ...(qosPolicyId !== undefined && { qosPolicyId }),
    });
  }

  async hasPortOption(): Promise<boolean> {
    return true;
  }

  async listPorts(filter: { namePrefix?: string; deviceId?: string }): Promise<PortInfo[]> {
    return [...this.#ports.values()].filter(
      (port) =>
        port.name.startsWith(filter.namePrefix ?? '') &&
        (filter.deviceId === undefined || port.deviceId === filter.deviceId),
    );
  }

  /** What plugging does to a port: it belongs to a server, or to nothing. */
  setDevice(portId: string, deviceId: string | null): void {
    const port = this.#ports.get(portId);
    if (port) this.#ports.set(portId, { ...port, deviceId });
  }

  #freeAddress(subnetId: string, portId: string): string {
    let attempt = 0;
    while (this.#taken.has(keyOf({ subnetId, ipAddress: addressOf(portId, attempt) }))) attempt += 1;
    return addressOf(portId, attempt);
  }
}

function keyOf({ subnetId, ipAddress }: { subnetId: string; ipAddress: string }): string {
  return `${subnetId}/${isIPv6(ipAddress) ? new URL(`http://[${ipAddress}]`).hostname : ipAddress}`;
}
