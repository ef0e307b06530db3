import { BlockList, isIP, SocketAddress } from 'node:net';
import { parseCidr } from '../amphora-api/address.ts';

export type Family = 4 | 6;

/** Family of a valid address. */
export function familyOf(address: string): Family {
  return isIP(address) === 6 ? 6 : 4;
}

/** Whether two valid addresses are the same one, however they are written. */
export function sameAddress(left: string, right: string): boolean {
  return canonical(left) === canonical(right);
}

/** Whether a valid address lies in a CIDR. */
export function contains(cidr: string, address: string): boolean {
  const parsed = parseCidr(cidr);
  if (parsed === undefined || parsed.family !== familyOf(address)) return false;
  const block = new BlockList();
  block.addSubnet(parsed.address, parsed.prefix, label(parsed.family));
  return block.check(address, label(parsed.family));
}

/** `10.0.0.5/8` -> `10.0.0.0/8`; undefined for text that is no CIDR. */
export function canonicalCidr(text: string): string | undefined {
  const parsed = parseCidr(text);
  if (parsed === undefined) return undefined;
  const bytes = toBytes(parsed.address, parsed.family).map((byte, index) => {
    const kept = Math.min(8, Math.max(0, parsed.prefix - index * 8));
    return byte & (0xff00 >> kept);
  });
  return `${fromBytes(bytes, parsed.family)}/${parsed.prefix}`;
}

function canonical(address: string): string {
  return new SocketAddress({ address, family: label(familyOf(address)) }).address;
}

function label(family: Family): 'ipv4' | 'ipv6' {
  return family === 4 ? 'ipv4' : 'ipv6';
}

function toBytes(address: string, family: Family): number[] {
  if (family === 4) return address.split('.').map(Number);
  // An IPv4 tail (`::ffff:10.0.0.1`) is two groups.
  const hex = address.replace(/[\d.]+\.[\d.]+$/, (tail) => {
    const [a = 0, b = 0, c = 0, d = 0] = tail.split('.').map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = '', tail] = hex.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...middle, ...right].flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function fromBytes(bytes: number[], family: Family): string {
  if (family === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16),
  );
  return canonical(groups.join(':'));
}
