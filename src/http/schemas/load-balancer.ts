import * as z from 'zod';
import {
  attribute,
  described,
  Ip,
  Name,
  onPost,
  onPut,
  optional,
  project,
  text,
  Uuid,
} from '../attributes.ts';
import { NestedHealthMonitor } from './health-monitor.ts';
import { nestedL7Policy } from './l7-policy.ts';
import { L7RulePost } from './l7-rule.ts';
import { nestedListener } from './listener.ts';
import { MemberPost } from './member.ts';
import { nestedPool } from './pool.ts';

const mutable = {
  ...described,
  vip_qos_policy_id: attribute(Uuid, null),
  vip_sg_ids: attribute(
    z.array(Uuid).transform((ids) => [...new Set(ids)]),
    [],
  ),
};

const list = <T extends z.ZodType>(item: T) =>
  z
    .array(item)
    .nullish()
    .transform((items) => items ?? []);

/** A pool of a tree; its name is how listeners refer to it. */
const TreePool = z.strictObject({
  ...nestedPool,
  name: Name.min(1),
  healthmonitor: optional(NestedHealthMonitor),
  members: list(MemberPost),
});

/** Names a pool of the tree. With `abort`, what is neither is told what a definition lacks. */
const PoolReference = z
  .looseObject({ name: Name.min(1) })
  .refine((pool) => Object.keys(pool).length === 1, { abort: true })
  .transform(({ name }) => ({ name }));

const PoolOrReference = z.union([TreePool, PoolReference]);

const TreeListener = z.strictObject({
  ...nestedListener,
  default_pool: optional(PoolOrReference),
  l7policies: list(
    z.strictObject({ ...nestedL7Policy, redirect_pool: optional(PoolOrReference), rules: list(L7RulePost) }),
  ),
});

/** Body of `POST /loadbalancers` (contract A7, A8). */
export const LoadBalancerPost = z.strictObject({
  ...project,
  ...onPost(mutable),
  vip_subnet_id: optional(Uuid),
  vip_network_id: optional(Uuid),
  vip_port_id: optional(Uuid),
  vip_address: optional(Ip),
  additional_vips: list(
    z.strictObject({ subnet_id: Uuid, ip_address: optional(Ip), port_id: optional(Uuid) }),
  ),
  provider: optional(text(64)),
  flavor_id: optional(Uuid),
  availability_zone: optional(Name),
  listeners: list(TreeListener),
  pools: list(TreePool),
});
/** Body of `PUT /loadbalancers/{id}`. */
export const LoadBalancerPut = z.strictObject(onPut(mutable));

export type NewLoadBalancer = z.output<typeof LoadBalancerPost>;
export type TreePool = z.output<typeof TreePool>;
export type TreeListener = z.output<typeof TreeListener>;
