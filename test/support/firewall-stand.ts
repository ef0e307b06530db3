import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { Namespace } from '../../src/cli/demo/namespace.ts';
import { createNamespace, serveText } from './namespace.ts';
import { TestAmphora } from './test-amphora.ts';

const execute = promisify(execFile);

export const LOAD_BALANCER = '5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c004';
export const VIP = '10.96.0.10';
export const VIP6 = '2001:db8:96::10';
/** The base port's own addresses. */
export const BASE = '10.96.0.11';
export const BASE6 = '2001:db8:96::11';
export const CLIENT = '10.96.0.100';
export const CLIENT6 = '2001:db8:96::100';
export const STRANGER = '10.96.0.200';
export const PEER = '10.96.0.12';
export const PEER6 = '2001:db8:96::12';
export const MEMBER = '10.97.0.20';
export const MEMBER6 = '2001:db8:97::20';
export const MEMBER_PORT = 8080;
/** The amphora's address on the network of the members. */
export const MEMBER_SIDE = '10.97.0.10';
export const VIP_MAC = '02:96:00:00:00:01';
export const MEMBER_MAC = '02:97:00:00:00:01';

/** Listeners on 80 (to the member) and 81 (answered by itself); the port of haproxy's peers; and one that nobody opened. */
const CONFIG = `global
  daemon
  user nobody
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend 5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c0f4
  bind ${VIP}:80
  bind ${VIP6}:80
  default_backend members
frontend 5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c0f5
  bind ${VIP}:81
  bind :::1025 v4v6
  bind :::9999 v4v6
  http-request return status 200 content-type text/plain string itself
backend members
  server m1 ${MEMBER}:${MEMBER_PORT}
`;

/** One amphora with a front network (client, stranger, peer) and a members' network (member), haproxy running. */
export interface FirewallStand {
  amphora: TestAmphora;
  client: Namespace;
  stranger: Namespace;
  /** Another amphora of the load balancer, as far as the network shows. */
  peer: Namespace;
  member: Namespace;
  /** Attach and plug the VIP's port and the member's, as after a boot. */
  plug(): Promise<void>;
  stop(): Promise<void>;
}

export async function startFirewallStand(
  settings: Record<string, unknown> = {},
  sriov: { vip?: boolean; member?: boolean } = {},
): Promise<FirewallStand> {
  const suffix = randomBytes(3).toString('hex');
  const [front, back] = [`tf${suffix}`, `tm${suffix}`];
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  const machine = async (role: string, bridge: string, addresses: string[]) => {
    const namespace = await createNamespace(role, bridge, addresses);
    stops.push(() => namespace.remove());
    return namespace;
  };
  try {
    for (const bridge of [front, back]) {
      await execute('ip', ['link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0']);
      stops.push(() => execute('ip', ['link', 'delete', bridge]));
      await execute('ip', ['link', 'set', bridge, 'addrgenmode', 'none', 'up']);
    }
    const client = await machine('client', front, [`${CLIENT}/24`, `${CLIENT6}/64`]);
    const stranger = await machine('stranger', front, [`${STRANGER}/24`, '2001:db8:96::200/64']);
    const peer = await machine('peer', front, [`${PEER}/24`, `${PEER6}/64`]);
    const member = await machine('member', back, [`${MEMBER}/24`, `${MEMBER6}/64`]);
    await serveText(member, MEMBER_PORT, 'member');
    const amphora = await TestAmphora.start(settings);
    stops.push(() => amphora.stop());
    const plug = async () => {
      await amphora.attach(front, VIP_MAC);
      await amphora.attach(back, MEMBER_MAC);
    };
    await plug();
    await amphora.client.plugVip(amphora.target(), VIP, {
      subnet_cidr: '10.96.0.0/24',
      gateway: null,
      mac_address: VIP_MAC,
      vrrp_ip: BASE,
      additional_vips: [{ ip_address: VIP6, subnet_cidr: '2001:db8:96::/64' }],
      is_sriov: sriov.vip ?? false,
    });
    await amphora.client.plugNetwork(amphora.target(), {
      mac_address: MEMBER_MAC,
      fixed_ips: [
        { ip_address: MEMBER_SIDE, subnet_cidr: '10.97.0.0/24' },
        { ip_address: '2001:db8:97::10', subnet_cidr: '2001:db8:97::/64' },
      ],
      is_sriov: sriov.member ?? false,
    });
    await amphora.client.uploadHaproxy(amphora.target(), LOAD_BALANCER, CONFIG);
    await amphora.client.reloadHaproxy(amphora.target(), LOAD_BALANCER);
    return { amphora, client, stranger, peer, member, plug, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What a URL answers within a second; undefined when nothing does. */
export function ask(from: Namespace, url: string, ...options: string[]): Promise<string | undefined> {
  const command = ['curl', '--silent', '--globoff', '--fail', '--max-time', '1', ...options, url];
  return from.exec(command).then(
    (text) => text.trim(),
    () => undefined,
  );
}
