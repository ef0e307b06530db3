import { AmphoraeError } from '../model/errors.ts';
import type { FixedIp, Network, NetworkView, PortInfo, SubnetInfo } from '../providers/network.ts';
import type { Db } from '../store/database.ts';
import { isUnavailable } from '../store/database-errors.ts';
import { insertVipIntent, takeVipIntent } from '../store/vip-intents.ts';
import { type Api, providerCall } from './api.ts';
import { badRequest, conflict, Fault, invalidInput, missingReference } from './fault.ts';
import { contains, sameAddress } from './ip.ts';
import type { NewLoadBalancer } from './schemas/load-balancer.ts';

/** Where the virtual addresses of a load balancer are to be; the answer to the VIP rules of contract A7. */
export interface VipPlan {
  networkId: string;
  /** Subnets to try, in this order, for the primary address. */
  subnetIds: string[];
  address: string | null;
  additional: { subnetId: string; address: string | null }[];
  /** The user's own port with its address for each subnet, when one was given. */
  port: { id: string; primary: FixedIp; additional: FixedIp[]; qosPolicyId: string | null } | null;
}

/** The virtual addresses that a load balancer has. */
export interface Vip {
  portId: string;
  /** False for a user's own port. */
  owned: boolean;
  networkId: string;
  primary: FixedIp;
  additional: FixedIp[];
}

type VipRequest = Pick<
  NewLoadBalancer,
  'vip_port_id' | 'vip_network_id' | 'vip_subnet_id' | 'vip_address' | 'additional_vips'
>;

/** How a VIP can be asked for, with the setting that allows it. */
const KINDS = [
  ['vip_port_id', 'allow_vip_port_id'],
  ['vip_network_id', 'allow_vip_network_id'],
  ['vip_subnet_id', 'allow_vip_subnet_id'],
] as const;

/**
 * Apply the VIP rules.
 * @param network as the caller sees it
 * @throws Fault 400
 */
export async function planVip(
  network: NetworkView,
  api: Pick<Api, 'network' | 'config'>,
  request: VipRequest,
): Promise<VipPlan> {
  const { config } = api;
  const allowed = KINDS.filter(([, setting]) => config[setting]).map(([kind]) => kind);
  const forbidden = KINDS.find(([kind]) => request[kind] !== null && !allowed.includes(kind));
  if (forbidden) throw badRequest(`${forbidden[0]} is disabled by configuration.`);
  if (request.vip_port_id !== null) return planWithPort(network, request.vip_port_id, request);
  if (request.vip_network_id !== null) return planInNetwork(network, api, request.vip_network_id, request);
  if (request.vip_subnet_id !== null) {
    const subnet = await findSubnet(network, request.vip_subnet_id);
    return plan(network, request, subnet.networkId, [subnet.id]);
  }
  throw badRequest(`A VIP needs one of ${allowed.join(', ')}.`);
}

async function planWithPort(network: NetworkView, portId: string, request: VipRequest): Promise<VipPlan> {
  const port = await network.getPort(portId, providerCall());
  if (port === undefined) throw missingReference('Port', portId);
  if (port.deviceId !== null && port.deviceId !== '') {
    throw invalidInput('vip_port_id', portId, `The port is in use by ${port.deviceId}.`);
  }
  if (request.vip_subnet_id !== null) await findSubnet(network, request.vip_subnet_id);
  const primary = primaryOf(port, request);
  const additional = request.additional_vips.map(({ subnet_id, ip_address }) =>
    addressOn(port, subnet_id, ip_address),
  );
  const rest = await plan(network, request, port.networkId, [primary.subnetId]);
  return {
    ...rest,
    address: primary.ipAddress,
    port: { id: port.id, primary, additional, qosPolicyId: port.qosPolicyId },
  };
}

function primaryOf(port: PortInfo, { vip_subnet_id: subnetId, vip_address: address }: VipRequest): FixedIp {
  if (subnetId !== null) return addressOn(port, subnetId, address);
  if (address !== null) {
    const found = port.fixedIps.find((fixedIp) => sameAddress(fixedIp.ipAddress, address));
    if (found === undefined)
      throw invalidInput('vip_address', address, `It is not an address of port ${port.id}.`);
    return found;
  }
  const [only, ...others] = port.fixedIps;
  if (only === undefined || others.length > 0) {
    throw invalidInput(
      'vip_port_id',
      port.id,
      'The port has not exactly one address: name one with vip_subnet_id or vip_address.',
    );
  }
  return only;
}

function addressOn(port: PortInfo, subnetId: string, address: string | null): FixedIp {
  const found = port.fixedIps.find(
    (fixedIp) =>
      fixedIp.subnetId === subnetId && (address === null || sameAddress(fixedIp.ipAddress, address)),
  );
  if (found === undefined) {
    throw badRequest(
      `Port ${port.id} has no address ${address ?? ''} in subnet ${subnetId}.`.replace('  ', ' '),
    );
  }
  return found;
}

async function planInNetwork(
  network: NetworkView,
  api: Pick<Api, 'network' | 'config'>,
  networkId: string,
  request: VipRequest,
): Promise<VipPlan> {
  const found = await network.getNetwork(networkId, providerCall());
  if (found === undefined) throw missingReference('Network', networkId);
  if (request.vip_subnet_id !== null) {
    const subnet = await findSubnet(network, request.vip_subnet_id);
    if (!found.subnetIds.includes(subnet.id)) {
      throw invalidInput('vip_subnet_id', subnet.id, `It does not belong to network ${networkId}.`);
    }
    return plan(network, request, networkId, [subnet.id]);
  }
  const subnets = await Promise.all(found.subnetIds.map((id) => findSubnet(network, id)));
  const { vip_address: address } = request;
  const usable =
    address === null
      ? (await withRoom(api, networkId, subnets)).toSorted((left, right) => left.ipVersion - right.ipVersion)
      : subnets.filter((subnet) => contains(subnet.cidr, address));
  if (usable.length === 0) {
    throw address === null
      ? invalidInput('vip_network_id', networkId, 'The network has no subnet with enough free addresses.')
      : invalidInput('vip_address', address, `No subnet of network ${networkId} holds it.`);
  }
  return plan(
    network,
    request,
    networkId,
    usable.map((subnet) => subnet.id),
  );
}

/** Subnets with room for a VIP and the addresses of its amphorae, where that is known. */
async function withRoom(
  { network, config }: Pick<Api, 'network' | 'config'>,
  networkId: string,
  subnets: SubnetInfo[],
): Promise<SubnetInfo[]> {
  const free = await network.freeAddresses?.(networkId, providerCall());
  const needed = config.default_topology === 'SINGLE' ? 2 : 3;
  return subnets.filter(({ id }) => (free?.get(id) ?? needed) >= needed);
}

/** The rules of additional VIPs, which hold whatever the primary came from. */
async function plan(
  network: NetworkView,
  request: VipRequest,
  networkId: string,
  subnetIds: string[],
): Promise<VipPlan> {
  const seen = new Set(subnetIds.length === 1 ? subnetIds : []);
  const own =
    request.additional_vips.length > 0 ? await network.getNetwork(networkId, providerCall()) : undefined;
  for (const { subnet_id: subnetId } of request.additional_vips) {
    if (seen.has(subnetId))
      throw invalidInput('additional_vips', subnetId, 'A subnet can have one VIP only.');
    seen.add(subnetId);
    const subnet = await findSubnet(network, subnetId);
    if (!own?.subnetIds.includes(subnet.id)) {
      throw invalidInput(
        'additional_vips',
        subnetId,
        `It does not belong to the network of the VIP, ${networkId}.`,
      );
    }
  }
  return {
    networkId,
    subnetIds: subnetIds.filter((id) => !request.additional_vips.some((vip) => vip.subnet_id === id)),
    address: request.vip_address,
    additional: request.additional_vips.map((vip) => ({ subnetId: vip.subnet_id, address: vip.ip_address })),
    port: null,
  };
}

/** @throws Fault 400 */
export async function findSubnet(network: NetworkView, id: string): Promise<SubnetInfo> {
  const subnet = await network.getSubnet(id, providerCall());
  if (subnet === undefined) throw missingReference('Subnet', id);
  return subnet;
}

/**
 * Have the VIP port while `store` writes the load balancer: it is made first, unless the user brought one, and goes
 * again when `store` fails, so that no refused request leaves a trace. `store` must commit the removal of the intent
 * together with the load balancer (`insertTree`).
 */
export async function withVip<T>(
  api: Pick<Api, 'db' | 'network' | 'log'>,
  loadBalancer: NewOwner,
  vip: VipPlan,
  store: (vip: Vip) => Promise<T>,
): Promise<T> {
  if (vip.port !== null) {
    return store({ ...vip.port, portId: vip.port.id, owned: false, networkId: vip.networkId });
  }
  const name = `octavia-lb-${loadBalancer.id}`;
  await insertVipIntent(api.db, loadBalancer.id, name);
  try {
    return await store(toVip(await createPort(api.network, loadBalancer, name, vip), vip));
  } catch (error) {
    try {
      // Also when creating the port failed: perhaps only the answer was lost. But not when only the answer of the
      // commit was: then the intent is gone, and the port belongs to the load balancer.
      await takeVipIntent(api.db, { loadBalancerId: loadBalancer.id }, (port) =>
        releasePort(api.network, port),
      );
    } catch (releaseError) {
      api.log.warn(
        { err: releaseError, port: name, loadbalancer_id: loadBalancer.id },
        'VIP port of a refused load balancer stays until the next sweep',
      );
    }
    throw error;
  }
}

/** The load balancer that a VIP's port is made for. */
interface NewOwner {
  id: string;
  projectId: string;
  securityGroupIds: string[];
}

async function createPort(
  network: Network,
  loadBalancer: NewOwner,
  name: string,
  vip: VipPlan,
): Promise<PortInfo> {
  const found = await network.getNetwork(vip.networkId, providerCall());
  if (found?.portSecurity === false)
    throw new Fault(500, `Port security must be enabled on the VIP network ${vip.networkId}.`);
  let full: unknown;
  for (const subnetId of vip.subnetIds) {
    try {
      return await network.createPort(
        {
          name,
          networkId: vip.networkId,
          fixedIps: [{ subnetId, address: vip.address }, ...vip.additional].map((fixedIp) => ({
            subnetId: fixedIp.subnetId,
            ipAddress: fixedIp.address ?? undefined,
          })),
          // The VIP port only reserves the address, also with SR-IOV: the amphorae's own ports carry the traffic.
          vnicType: 'normal',
          adminStateUp: false,
          deviceId: `lb-${loadBalancer.id}`,
          projectId: loadBalancer.projectId,
          ...(loadBalancer.securityGroupIds.length > 0 && {
            securityGroupIds: loadBalancer.securityGroupIds,
          }),
        },
        providerCall(),
      );
    } catch (error) {
      if (!(error instanceof AmphoraeError) || isUnavailable(error)) throw error;
      if (error.kind !== 'placement') throw vipFault(error);
      full = error;
    }
  }
  throw conflict(
    full instanceof Error ? full.message : `Network ${vip.networkId} has no subnet left for the VIP.`,
  );
}

/** Conflicts are the caller's to solve; a subnet or address that does not fit is a mistake; the rest is the provider's. */
function vipFault(error: AmphoraeError): Fault {
  switch (error.code) {
    case 'address_in_use':
    case 'openstack_conflict':
      return conflict(error.message);
    case 'not_found':
    case 'invalid_address':
      return badRequest(error.message);
    default:
      return new Fault(500, error.message);
  }
}

function toVip(port: PortInfo, vip: VipPlan): Vip {
  const additionalSubnets = vip.additional.map(({ subnetId }) => subnetId);
  const primary = port.fixedIps.find(({ subnetId }) => !additionalSubnets.includes(subnetId));
  if (primary === undefined) throw new Fault(500, `Port ${port.id} was made without an address for the VIP.`);
  return {
    portId: port.id,
    owned: true,
    networkId: port.networkId,
    primary,
    additional: additionalSubnets.map((subnetId) => addressOn(port, subnetId, null)),
  };
}

async function releasePort(network: Network, name: string): Promise<void> {
  const ports = await network.listPorts({ namePrefix: name }, providerCall());
  for (const port of ports.filter((port) => port.name === name))
    await network.deletePort(port.id, providerCall());
}

/** Remove the VIP ports of load balancers that were never stored. Returns how many there were. */
export async function sweepVipIntents(db: Db, network: Network): Promise<number> {
  let swept = 0;
  while (await takeVipIntent(db, 'expired', (name) => releasePort(network, name))) swept += 1;
  return swept;
}
