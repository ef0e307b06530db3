import * as z from 'zod';
import {
  attribute,
  common,
  Flag,
  Ip,
  integer,
  Name,
  onPost,
  onPut,
  optional,
  Port,
  project,
  Tags,
  Uuid,
} from '../attributes.ts';

/** The metadata address of clouds: a member there would let users read the amphora's own. */
const RESERVED = new Set(['169.254.169.254']);

const Address = Ip.refine((value) => !RESERVED.has(value), 'Value is a reserved address');

const resettable = {
  admin_state_up: common.admin_state_up,
  weight: attribute(integer(0, 256), 1),
  backup: attribute(Flag, false),
  monitor_address: attribute(Ip, null),
  monitor_port: attribute(Port, null),
};
const mutable = { ...common, ...resettable };

const identity = {
  address: Address,
  protocol_port: Port,
  subnet_id: optional(Uuid),
  request_sriov: optional(Flag),
};

/** Body of `POST /pools/{id}/members`, and a member inside the POST of a load balancer (contract A11). */
export const MemberPost = z.strictObject({ ...project, ...identity, ...onPost(mutable) });
/** Body of `PUT /pools/{id}/members/{id}`. */
export const MemberPut = z.strictObject(onPut(mutable));
/**
 * One member of a batch. For one that exists, what is left out becomes the default again, but `name` and `tags` stay:
 * they are null here when absent.
 */
export const MemberBatchItem = z.strictObject({
  ...project,
  ...identity,
  ...onPost(resettable),
  name: optional(Name),
  tags: optional(Tags),
});
export const MemberBatch = z.array(MemberBatchItem);

export type NewMember = z.output<typeof MemberPost>;
