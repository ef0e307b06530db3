import * as z from 'zod';
import { Cidr, IpAddress } from './address.ts';

/** One rule as an Octavia controller sends it (contract D5). `cidr` null: everyone. */
export const InterfaceRule = z.strictObject({
  protocol: z.enum(['TCP', 'UDP', 'SCTP', 'vrrp']),
  cidr: z.union([Cidr, IpAddress], 'must be a CIDR such as 10.0.0.0/8').nullable(),
  port: z.number().int().min(1).max(65535),
});
export type InterfaceRule = z.infer<typeof InterfaceRule>;

/** Body of `PUT /1.0/interface/{ip}/rules`. */
export const InterfaceRuleList = z.array(InterfaceRule).max(100_000);
