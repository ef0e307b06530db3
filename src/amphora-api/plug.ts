import * as z from 'zod';
import { Cidr, IpAddress, MacAddress } from './address.ts';

const HostRoute = z.strictObject({ destination: Cidr, nexthop: IpAddress });
const Mtu = z.number().int().min(68).max(65_535);

const AdditionalVip = z.strictObject({
  ip_address: IpAddress,
  subnet_cidr: Cidr,
  gateway: IpAddress.nullish(),
  host_routes: z.array(HostRoute).nullish(),
});

const vipFields = {
  subnet_cidr: Cidr,
  gateway: IpAddress.nullable(),
  mac_address: MacAddress,
  mtu: Mtu.nullish(),
  vrrp_ip: IpAddress.nullish(),
  host_routes: z.array(HostRoute).nullish(),
  additional_vips: z.array(AdditionalVip).nullish(),
  is_sriov: z.boolean().nullish(),
};

/** Body of `POST /1.0/plug/vip/{vip}` (contract D4). */
export const PlugVip = z.strictObject(vipFields);
export type PlugVip = z.infer<typeof PlugVip>;

/** Body of `POST /1.0/plug/network` (contract D4). */
export const PlugNetwork = z.strictObject({
  mac_address: MacAddress,
  fixed_ips: z
    .array(
      z.strictObject({
        ip_address: IpAddress,
        subnet_cidr: Cidr,
        host_routes: z.array(HostRoute).nullish(),
        gateway: IpAddress.nullish(),
      }),
    )
    .nullish(),
  mtu: Mtu.nullish(),
  is_sriov: z.boolean().nullish(),
  vip_net_info: z.strictObject({ ...vipFields, vip: IpAddress }).nullish(),
});
export type PlugNetwork = z.infer<typeof PlugNetwork>;
