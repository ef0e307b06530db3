import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { ABSENT, type Ip, linkExists, PRESENT } from './ip.ts';
import { uplinkNames } from './names.ts';

/** A network as a bridge of the host. Anyone may attach a veth to it; the host itself is not on it. */
export interface BridgeSpec {
  id: string;
  bridge: string;
  mtu: number;
}

const BRIDGE_OPTIONS = [
  // Without a multicast querier, snooping would in time swallow neighbour discovery.
  ...['mcast_snooping', 0],
  // A port forwards at once: there are no loops to detect, and amphorae announce themselves when they come up.
  ...['stp_state', 0, 'forward_delay', 0],
];

export async function ensureBridge(
  ip: Ip,
  { bridge, mtu }: Omit<BridgeSpec, 'id'>,
  signal?: AbortSignal,
): Promise<void> {
  if (linkExists(bridge)) return;
  await ip.batch(
    [
      // Left to itself a bridge takes the lowest address of its ports, a new one whenever they change, and those who
      // know the host by the old one lose it for a while.
      [
        'link',
        'add',
        bridge,
        'address',
        macAddressOf(bridge),
        'mtu',
        mtu,
        'type',
        'bridge',
        ...BRIDGE_OPTIONS,
      ],
      ['link', 'set', bridge, 'addrgenmode', 'none'],
    ],
    { tolerate: PRESENT, signal },
  );
  // Bridged frames still pass the host's ARP and router discovery: it must neither answer for its other addresses
  // nor take one.
  await setSysctl(`ipv4/conf/${bridge}/arp_ignore`, '1');
  await setSysctl(`ipv6/conf/${bridge}/accept_ra`, '0');
  await ip.batch([['link', 'set', bridge, 'up']], { signal });
}

function macAddressOf(name: string): string {
  const digits = createHash('sha256').update(name).digest('hex').slice(0, 10);
  return `02:${digits.replace(/..(?!$)/g, '$&:')}`;
}

/** The management bridge, with the host's address on it. */
export async function ensureManagementBridge(
  ip: Ip,
  { bridge, address }: { bridge: string; address: string },
  signal?: AbortSignal,
): Promise<void> {
  if (linkExists(bridge)) return;
  await ensureBridge(ip, { bridge, mtu: 1500 }, signal);
  // An address that is being checked for duplicates cannot be used yet, and nobody else assigns addresses here.
  const flags = address.includes(':') ? ['nodad'] : [];
  await ip.batch([['address', 'replace', address, 'dev', bridge, ...flags]], { signal });
}

/** The parent of a network's macvlan stand-ins: one end of a veth pair whose other end is in the bridge. */
export async function ensureUplink(ip: Ip, network: BridgeSpec, signal?: AbortSignal): Promise<string> {
  const { bridgeSide, parent } = uplinkNames(network.id);
  if (linkExists(parent) && existsSync(`/sys/class/net/${bridgeSide}/master`)) return parent;
  await ip.batch(
    [
      [
        'link',
        'add',
        bridgeSide,
        'mtu',
        network.mtu,
        'type',
        'veth',
        'peer',
        'name',
        parent,
        'mtu',
        network.mtu,
      ],
      ['link', 'set', bridgeSide, 'addrgenmode', 'none'],
      ['link', 'set', parent, 'addrgenmode', 'none'],
      ['link', 'set', parent, 'arp', 'off'],
    ],
    { tolerate: PRESENT, signal },
  );
  await setSysctl(`ipv6/conf/${parent}/disable_ipv6`, '1');
  await ip.batch(
    [
      ['link', 'set', parent, 'up'],
      ['link', 'set', bridgeSide, 'master', network.bridge, 'up'],
    ],
    { signal },
  );
  return parent;
}

/** Remove a bridge and its uplink; success when there is none. */
export async function removeBridge(ip: Ip, network: Pick<BridgeSpec, 'id' | 'bridge'>): Promise<void> {
  const links = [uplinkNames(network.id).parent, network.bridge].filter(linkExists);
  await ip.batch(
    links.map((link) => ['link', 'delete', link]),
    { tolerate: ABSENT },
  );
}

const NETFILTER = ['iptables', 'ip6tables', 'arptables'].map((name) => `bridge/bridge-nf-call-${name}`);

/**
 * Keep the host's own packet filter and its connection tracking out of bridged traffic: with br_netfilter loaded,
 * as Docker does, its FORWARD chain would decide about the packets of load balancers.
 * @param record file that keeps the former values for `restoreBridgeNetfilter`
 */
export async function disableBridgeNetfilter(record: string): Promise<void> {
  const active: string[] = [];
  for (const name of NETFILTER) if ((await getSysctl(name)) === '1') active.push(name);
  if (active.length === 0) return;
  if (!existsSync(record)) await writeFile(record, JSON.stringify(active), { mode: 0o600 });
  for (const name of active) await setSysctl(name, '0');
}

export async function restoreBridgeNetfilter(record: string): Promise<void> {
  if (!existsSync(record)) return;
  const active: unknown = JSON.parse(await readFile(record, 'utf8'));
  for (const name of NETFILTER)
    if (Array.isArray(active) && active.includes(name)) await setSysctl(name, '1');
}

async function getSysctl(name: string): Promise<string | undefined> {
  const path = `/proc/sys/net/${name}`;
  return existsSync(path) ? (await readFile(path, 'utf8')).trim() : undefined;
}

/** A kernel without IPv6 has no file to write to, and nothing to keep quiet. */
async function setSysctl(name: string, value: string): Promise<void> {
  const path = `/proc/sys/net/${name}`;
  if (existsSync(path)) await writeFile(path, value);
}
