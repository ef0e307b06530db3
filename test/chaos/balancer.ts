import type { Api } from './api.ts';

/** What of a load balancer its user decides: the part of it that an accepted call promises. */
export interface Wishes {
  description: string;
  /** Listeners by port, with their `allowed_cidrs`. */
  listeners: Record<string, string[] | null>;
  /** Weights of the pool's members by address. */
  members: Record<string, number>;
}

/** A load balancer as the API shows it. */
export interface Balancer {
  id: string;
  name: string;
  provisioning_status: string;
  provisioning_error: { code: string; message: string } | null;
  vip_address: string;
  description: string;
  pools: { id: string }[];
}

interface Child {
  id: string;
  provisioning_status: string;
}
export interface ListenerView extends Child {
  protocol_port: number;
  allowed_cidrs: string[] | null;
}
export interface MemberView extends Child {
  address: string;
  weight: number;
}

export interface View {
  balancer: Balancer;
  poolId: string;
  listeners: ListenerView[];
  members: MemberView[];
}

export const LOAD_BALANCERS = '/v2.0/lbaas/loadbalancers';
export const AMPHORAE = '/v2.0/octavia/amphorae';
export const LISTENERS = '/v2.0/lbaas/listeners';
export const membersOf = (poolId: string) => `/v2.0/lbaas/pools/${poolId}/members`;

/** A load balancer with what is below it, but not what is about to go; `gone` when there is none, undefined when the API could not tell. */
export async function look(api: Api, id: string): Promise<View | 'gone' | undefined> {
  const answer = await api.call('GET', `${LOAD_BALANCERS}/${id}`);
  if (answer?.status === 404) return 'gone';
  if (answer?.status !== 200) return undefined;
  const balancer = answer.body.loadbalancer as Balancer;
  if (balancer.provisioning_status === 'PENDING_DELETE') return 'gone';
  const poolId = balancer.pools[0]?.id ?? '';
  const listeners = await api.list<ListenerView>(`${LISTENERS}?loadbalancer_id=${id}`, 'listeners');
  const members = await api.list<MemberView>(membersOf(poolId), 'members');
  if (listeners === undefined || members === undefined) return undefined;
  return { balancer, poolId, listeners: staying(listeners), members: staying(members) };
}

function staying<T extends Child>(children: T[]): T[] {
  return children.filter(({ provisioning_status }) => provisioning_status !== 'PENDING_DELETE');
}

/** What the user of a load balancer would say that it has been promised, going by what is there. */
export function wishesIn({ balancer, listeners, members }: View): Wishes {
  return {
    description: balancer.description,
    listeners: Object.fromEntries(
      listeners.map(({ protocol_port, allowed_cidrs }) => [String(protocol_port), allowed_cidrs]),
    ),
    members: Object.fromEntries(members.map(({ address, weight }) => [address, weight])),
  };
}
