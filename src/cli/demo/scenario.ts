import { TerminalError } from '../../model/errors.ts';
import type { RestClient } from '../rest-client.ts';
import { waitFor } from '../up/wait.ts';
import type { Note } from './progress.ts';

/** Documentation addresses (RFC 5737): no host has a real route there. */
export const CIDR = '198.51.100.0/24';
export const CLIENT = '198.51.100.200';
export const BACKENDS = [
  { name: 'web-1', address: '198.51.100.201' },
  { name: 'web-2', address: '198.51.100.202' },
];

export interface DemoNetwork {
  network_id: string;
  subnet_id: string;
  bridge: string;
}

export interface LoadBalancer {
  id: string;
  vip_address: string;
  provisioning_status: string;
}

/** A network whose ports may be VFs, or their stand-ins. */
export async function createNetwork(api: RestClient): Promise<DemoNetwork> {
  const network = { name: 'demo', cidrs: [{ cidr: CIDR }], vnic_types: ['normal', 'direct'] };
  return api.call<DemoNetwork>('POST', '/v2.0/amphorae/networks', { network });
}

/** The flavor that puts the VIP and the members' ports on VFs. Resolves with its id. */
export async function createFlavor(api: RestClient): Promise<string> {
  const flavor_data = JSON.stringify({ sriov_vip: true, allow_member_sriov: true });
  const profile = await api.call<{ flavorprofile: { id: string } }>('POST', '/v2.0/lbaas/flavorprofiles', {
    flavorprofile: { name: 'sr-iov', provider_name: 'amphora', flavor_data },
  });
  const { flavor } = await api.call<{ flavor: { id: string } }>('POST', '/v2.0/lbaas/flavors', {
    flavor: { name: 'sr-iov', flavor_profile_id: profile.flavorprofile.id },
  });
  return flavor.id;
}

/** A whole load balancer in one request: listener, pool, members and health monitor. */
export async function createLoadBalancer(
  api: RestClient,
  { network, flavorId }: { network: DemoNetwork; flavorId: string },
): Promise<LoadBalancer> {
  const members = BACKENDS.map(({ name, address }) => ({
    name,
    address,
    protocol_port: 80,
    subnet_id: network.subnet_id,
    request_sriov: true,
  }));
  const pool = {
    name: 'web',
    protocol: 'HTTP',
    lb_algorithm: 'ROUND_ROBIN',
    healthmonitor: { type: 'HTTP', delay: 2, timeout: 1, max_retries: 1, url_path: '/' },
    members,
  };
  const listener = {
    name: 'http',
    protocol: 'HTTP',
    protocol_port: 80,
    allowed_cidrs: [CIDR],
    default_pool: pool,
  };
  const loadbalancer = {
    name: 'demo',
    vip_subnet_id: network.subnet_id,
    flavor_id: flavorId,
    listeners: [listener],
  };
  return (
    await api.call<{ loadbalancer: LoadBalancer }>('POST', '/v2.0/lbaas/loadbalancers', { loadbalancer })
  ).loadbalancer;
}

/** Wait until it carries traffic. @throws TerminalError with the reason when it ends in ERROR instead. */
export async function untilActive(
  api: RestClient,
  id: string,
  note: Note,
  signal: AbortSignal,
): Promise<LoadBalancer> {
  const path = `/v2.0/lbaas/loadbalancers/${id}`;
  const loadBalancer = await waitFor(
    'the load balancer to become ACTIVE',
    120,
    async () => {
      const { loadbalancer } = await api.call<{ loadbalancer: LoadBalancer }>('GET', path);
      note(loadbalancer.provisioning_status);
      return loadbalancer.provisioning_status.startsWith('PENDING') ? undefined : loadbalancer;
    },
    signal,
  );
  if (loadBalancer.provisioning_status === 'ACTIVE') return loadBalancer;
  throw new TerminalError(
    'load_balancer_failed',
    `the load balancer ended in ${loadBalancer.provisioning_status}: ${JSON.stringify(loadBalancer, null, 2)}`,
  );
}
