import * as z from 'zod';
import { Cidr, IpAddress } from './address.ts';

const Port = z.number().int().min(1).max(65535);

/** One opening of the VIP: a listener, or one of its CIDR lists. `allowed_cidrs` null or absent: everyone. */
export const ListenerRule = z.strictObject({
  allowed_cidrs: z.array(Cidr).max(100_000).nullish(),
  protocol: z.enum(['TCP', 'UDP', 'SCTP']),
  port: Port,
});
export type ListenerRule = z.infer<typeof ListenerRule>;

/** A place that may answer the amphora: a member or its monitor address. */
export const MemberEndpoint = z.strictObject({
  address: IpAddress,
  port: Port,
  protocol: z.enum(['TCP', 'UDP', 'SCTP']),
});
export type MemberEndpoint = z.infer<typeof MemberEndpoint>;

/**
 * Body of `POST /1.0/security-group`: everything the amphora's firewall admits. The agent replaces its whole
 * rule set by this in one transaction; what is not named here is dropped.
 */
export const SecurityGroup = z.strictObject({
  /** Revision of the load balancer that the rules were made from; reported by `GET /1.0/security-group`. */
  revision: z.number().int().min(0),
  /** VIP addresses, additional ones included. */
  vips: z.array(IpAddress).max(1_000),
  rules: z.array(ListenerRule).max(10_000),
  /** Base addresses of the other amphorae of the load balancer: VRRP and haproxy peers come from them only. */
  vrrp_peers: z.array(IpAddress).max(16),
  members: z.array(MemberEndpoint).max(100_000),
  /** Members whose health is asked by ping: their echo replies. */
  pinged: z.array(IpAddress).max(100_000).optional(),
});
export type SecurityGroup = z.infer<typeof SecurityGroup>;

const Count = z.object({ packets: z.number(), bytes: z.number() });

/** Answer of `GET /1.0/security-group/counters`: since the listener was opened, or the table was built anew. */
export const FirewallCounters = z.object({
  listeners: z.array(
    z.object({
      protocol: ListenerRule.shape.protocol,
      port: Port,
      accepted: Count,
      /** From sources that the listener does not allow. */
      dropped: Count,
    }),
  ),
  /** Accepted: VRRP and stick tables of the other amphorae. */
  peers: Count,
  /** What was for no listener. */
  dropped: Count,
});
export type FirewallCounters = z.infer<typeof FirewallCounters>;

/** Body of `POST /1.0/security-group/drop-log`: how long dropped packets are written down, and how many at most. */
export const DropLogRequest = z.strictObject({
  seconds: z.number().int().min(1).max(3_600).default(60),
  per_second: z.number().int().min(1).max(100).default(10),
});
export type DropLogRequest = z.infer<typeof DropLogRequest>;

/** Answer of `GET /1.0/security-group/drop-log`: the last packets in nft's words, oldest first. */
export const DropLog = z.object({
  active: z.boolean(),
  packets: z.array(z.object({ time: z.iso.datetime(), packet: z.string() })),
});
export type DropLog = z.infer<typeof DropLog>;
