import { randomUUID } from 'node:crypto';
import type { Context } from 'hono';
import type * as z from 'zod';
import {
  insertMembers,
  type Member,
  markMembers,
  selectMembers,
  updateMembers,
} from '../../store/members.ts';
import { type Api, networkSeenBy } from '../api.ts';
import { readBody } from '../body.ts';
import { changeBelow, toDelete, toUpdate } from '../change.ts';
import { conflict, immutable, invalidInput } from '../fault.ts';
import { queryFlag } from '../list.ts';
import { checkMemberFamilies, findMemberNetworks, loadVnicTypes, memberRow } from '../member-placement.ts';
import { checkQuota } from '../quota.ts';
import { pathId } from '../resource.ts';
import { MemberBatch, type MemberBatchItem } from '../schemas/member.ts';
import { findActivePool, lockPool } from './pools.ts';

type Item = z.output<typeof MemberBatchItem>;

/**
 * `PUT /pools/{pool_id}/members`: make the members of a pool those of the list, matched by address and port. With
 * `additive_only` nothing is removed.
 */
export async function replaceMembers(api: Api, context: Context): Promise<Response> {
  const poolId = pathId(context, 'Pool', 'poolId');
  const additive = queryFlag(context, 'additive_only');
  const items = await readBody(context, 'members', MemberBatch);
  const networks = await findMemberNetworks(networkSeenBy(context, api), items);
  await changeBelow(api, { table: 'pools', title: 'Pool', id: poolId }, async (change) => {
    const { transaction, loadBalancer, revision } = change;
    const pool = await findActivePool(change, poolId);
    const stored = new Map(
      (await selectMembers(transaction).where('pool_id', '=', poolId).execute()).map((row) => [
        keyOf(row),
        row,
      ]),
    );
    checkOnce(items, stored);

    const updated = items.flatMap((item) => {
      const member = stored.get(keyOf(item));
      return member === undefined ? [] : [{ item, member }];
    });
    const created = items.filter((item) => !stored.has(keyOf(item)));
    const listed = new Set(items.map(keyOf));
    const leaving = ({ provisioning_status: status }: Member) => status === 'PENDING_DELETE';
    const back = updated.find(({ member }) => leaving(member));
    if (back) throw immutable('Member', back.member.id);
    const removed = additive
      ? []
      : [...stored.values()].filter((member) => !listed.has(keyOf(member)) && !leaving(member));
    if (updated.length + created.length + removed.length === 0) return { answer: undefined, changed: false };
    const growth = { member: created.length - removed.length };
    await checkQuota(api, transaction, loadBalancer.project_id, growth);
    await checkMemberFamilies(transaction, pool, created);
    await lockPool(change, poolId);

    const vnicTypes = await loadVnicTypes(transaction, loadBalancer);
    const parent = {
      poolId,
      loadBalancerId: loadBalancer.id,
      projectId: loadBalancer.project_id,
      monitored: pool.healthmonitor_id !== null,
      revision,
    };
    const changes = updated.map(({ item, member }) => changesOf(item, member));
    await updateMembers(transaction, changes, toUpdate(revision));
    await insertMembers(
      transaction,
      created.map((item) => {
        const member = { ...item, name: item.name ?? '', tags: item.tags ?? [] };
        return memberRow(member, vnicTypes.place(member, networks), { ...parent, id: randomUUID() });
      }),
    );
    const leavers = removed.map(({ id }) => id);
    await markMembers(transaction, leavers, toDelete(revision));
    return {
      answer: undefined,
      memberPorts: [...created, ...removed].some((member) => member.subnet_id !== null),
    };
  });
  return context.body(null, 202);
}

function keyOf({ address, protocol_port: port }: { address: string; protocol_port: number }): string {
  return `${address} ${port}`;
}

function checkOnce(items: Item[], stored: Map<string, Member>): void {
  const seen = new Set<string>();
  for (const item of items) {
    const key = keyOf(item);
    if (seen.has(key)) {
      throw stored.has(key)
        ? invalidInput('members', key, 'The member is listed more than once.')
        : conflict(
            `The member ${item.address} with protocol_port ${item.protocol_port} is listed more than once.`,
          );
    }
    seen.add(key);
  }
}

/** Absent attributes become their defaults again; `name` and `tags` stay; where a member is reached cannot change. */
function changesOf(item: Item, member: Member) {
  if (item.subnet_id !== null && item.subnet_id !== member.subnet_id) {
    throw invalidInput('subnet_id', item.subnet_id, `Member ${member.id} cannot move to another subnet.`);
  }
  if (item.request_sriov !== null && item.request_sriov !== (member.vnic_type === 'direct')) {
    throw invalidInput(
      'request_sriov',
      item.request_sriov,
      `Member ${member.id} is reached by a ${member.vnic_type} port.`,
    );
  }
  return {
    id: member.id,
    admin_state_up: item.admin_state_up,
    weight: item.weight,
    backup: item.backup,
    monitor_address: item.monitor_address,
    monitor_port: item.monitor_port,
    name: item.name ?? member.name,
    tags: item.tags ?? member.tags,
  };
}
