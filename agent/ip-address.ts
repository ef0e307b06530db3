import { isIPv4 } from 'node:net';

export type Family = 4 | 6;

/** An address as a number, so that it can be masked, ordered and compared whatever its spelling was. */
export interface Address {
  family: Family;
  value: bigint;
}

/** A network: `value` has no bits below `prefix`. */
export interface Network extends Address {
  prefix: number;
}

export const BITS = { 4: 32, 6: 128 } as const;
const [DOT, ZERO] = [0x2e, 0x30];

/** Parse what `node:net` accepts as an address. */
export function parseAddress(text: string): Address {
  if (isIPv4(text)) return { family: 4, value: BigInt(fromIpv4(text)) };
  const [head = '', tail] = text.split('::');
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = tail === undefined ? [] : Array<bigint>(8 - left.length - right.length).fill(0n);
  return {
    family: 6,
    value: [...left, ...zeros, ...right].reduce((value, group) => (value << 16n) | group, 0n),
  };
}

/** Parse a CIDR that passed the wire schema; bits of the host part are dropped. */
export function parseNetwork(cidr: string): Network {
  // The schema has looked at every character; once is enough of 10,000.
  const slash = cidr.lastIndexOf('/');
  if (slash < 0) throw new TypeError(`not a CIDR: ${cidr}`);
  const [address, prefix] = [cidr.slice(0, slash), Number(cidr.slice(slash + 1))];
  const family = address.includes(':') ? 6 : 4;
  if (family === 4) {
    const value = fromIpv4(address);
    return { family, value: BigInt(value - (value % 2 ** (32 - prefix))), prefix };
  }
  const host = BigInt(128 - prefix);
  return { family, value: (parseAddress(address).value >> host) << host, prefix };
}

/** An address as the network of itself alone; a CIDR as it is. */
export function toCidr(text: string): string {
  return text.includes('/') ? text : `${text}/${BITS[isIPv4(text) ? 4 : 6]}`;
}

/** Whether the network holds the address. */
export function contains(network: Network, address: Address): boolean {
  const host = BigInt(BITS[network.family] - network.prefix);
  return network.family === address.family && network.value >> host === address.value >> host;
}

/** The one spelling that the kernel's tools and ours agree on; IPv6 in full, without `::`. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) {
    const number = Number(value);
    return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
  }
  const shifts = [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n];
  return shifts.map((shift) => ((value >> shift) & 0xffffn).toString(16)).join(':');
}

export function formatNetwork(network: Network): string {
  return `${formatAddress(network)}/${network.prefix}`;
}

/** Tens of thousands of IPv4 addresses are in a large rule set, and plain numbers are much faster than bigints. */
function fromIpv4(text: string): number {
  let [value, octet] = [0, 0];
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === DOT) [value, octet] = [value * 256 + octet, 0];
    else octet = octet * 10 + code - ZERO;
  }
  return value * 256 + octet;
}

function groups(text: string): bigint[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [BigInt(`0x${group}`)];
    const ipv4 = BigInt(fromIpv4(group));
    return [ipv4 >> 16n, ipv4 & 0xffffn];
  });
}
