import { isIP } from 'node:net';
import * as z from 'zod';

/** One IPv4 or IPv6 address, no prefix, no zone. */
export const IpAddress = z
  .string()
  .refine((text) => isIP(text) !== 0 && !text.includes('%'), 'must be an IP address');

/** `address/prefix` with a prefix that fits the family. Host bits may be set; users of it mask them. */
export const Cidr = z
  .string()
  .refine((text) => parseCidr(text) !== undefined, 'must be a CIDR such as 10.0.0.0/8');

export const MacAddress = z
  .string()
  .regex(/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/, 'must be a MAC address')
  .transform((text) => text.toLowerCase());

/** Split a CIDR; undefined when it is not one. `prefix` is in bits. */
export function parseCidr(text: string): { address: string; prefix: number; family: 4 | 6 } | undefined {
  const match = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text);
  const address = match?.[1];
  const family = isIP(address ?? '') as 0 | 4 | 6;
  if (!address || family === 0) return undefined;
  const prefix = Number(match[2]);
  return prefix <= (family === 4 ? 32 : 128) ? { address, prefix, family } : undefined;
}
