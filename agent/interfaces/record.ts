import * as z from 'zod';
import { IpAddress } from '../../src/amphora-api/address.ts';
import { PlugNetwork, PlugVip } from '../../src/amphora-api/plug.ts';

/** A plugged interface as it is stored: its name, and what the controller asked for. */
export const InterfaceRecord = z.strictObject({
  name: z.string().regex(/^eth\d{1,4}$/),
  mac_address: PlugVip.shape.mac_address,
  mtu: PlugVip.shape.mtu,
  /** A virtual function, on which no security group of the cloud works. */
  is_sriov: z.boolean().default(false),
  /** The VIP's interface only. */
  vip: PlugVip.extend({ vip: IpAddress }).optional(),
  /** Addresses on the networks of members. */
  fixed_ips: z.array(PlugNetwork.shape.fixed_ips.unwrap().unwrap().element),
});
export type InterfaceRecord = z.output<typeof InterfaceRecord>;

/** Name of the VIP's interface; members' are eth2 and up (contract D4). */
export const VIP_INTERFACE = 'eth1';

/** The lowest free name for a member's interface. */
export function freeName(taken: Iterable<string>): string {
  const names = new Set(taken);
  let number = 2;
  while (names.has(`eth${number}`)) number += 1;
  return `eth${number}`;
}
