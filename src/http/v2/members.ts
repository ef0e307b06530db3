import { type Context, Hono } from 'hono';
import { isUniqueViolation } from '../../store/database-errors.ts';
import {
  insertMember,
  type Member,
  memberAttributes,
  selectMembers,
  updateMember,
} from '../../store/members.ts';
import { type Api, networkSeenBy } from '../api.ts';
import { readBody } from '../body.ts';
import { changeBelow, toDelete, toUpdate } from '../change.ts';
import { conflict, notFound } from '../fault.ts';
import { newId } from '../idempotency.ts';
import { checkMemberFamilies, findMemberNetworks, loadVnicTypes, memberRow } from '../member-placement.ts';
import { presentCommon } from '../present.ts';
import { answerList, answerOne, findRow, type OctaviaResource, pathId } from '../resource.ts';
import { MemberPost, MemberPut, type NewMember } from '../schemas/member.ts';
import { replaceMembers } from './member-batch.ts';
import { lockPool, pools } from './pools.ts';

export const members: OctaviaResource<'members', Member> = {
  title: 'Member',
  path: '/lbaas/pools/{pool_id}/members',
  policy: 'member',
  bodies: { post: MemberPost, put: MemberPut },
  root: 'member',
  plural: 'members',
  select: selectMembers,
  attributes: memberAttributes,
  present: presentMember,
};

/** `/pools/{pool_id}/members` (contract A11). */
export function memberRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', async (context) => {
    const { id: poolId } = await findRow(api.db, pools, pathId(context, 'Pool', 'poolId'));
    return answerList(context, api.db, members, (query) => query.where('pool_id', '=', poolId));
  });

  routes.get('/:id', async (context) => answerOne(context, members, await findMember(api, context)));

  routes.post('/', async (context) => {
    const poolId = pathId(context, 'Pool', 'poolId');
    const body = await readBody(context, 'member', MemberPost);
    const networks = await findMemberNetworks(networkSeenBy(context, api), [body]);
    const id = newId(context);
    const row = await changeBelow(
      api,
      { table: 'pools', title: 'Pool', id: poolId },
      async (change) => {
        const { transaction, loadBalancer, revision } = change;
        const pool = await lockPool(change, poolId);
        await checkMemberFamilies(transaction, pool, [body]);
        const placement = (await loadVnicTypes(transaction, loadBalancer)).place(body, networks);
        const parent = {
          id,
          poolId,
          loadBalancerId: loadBalancer.id,
          projectId: loadBalancer.project_id,
          monitored: pool.healthmonitor_id !== null,
          revision,
        };
        const answer = await refusingDuplicates(body, () =>
          insertMember(transaction, memberRow(body, placement, parent)),
        );
        return { answer, memberPorts: body.subnet_id !== null };
      },
      { growth: { member: 1 } },
    );
    return answerOne(context, members, row, 201);
  });

  routes.put('/', (context) => replaceMembers(api, context));

  routes.put('/:id', async (context) => {
    const { id, pool_id: poolId } = await findMember(api, context);
    const body = await readBody(context, 'member', MemberPut);
    const row = await changeBelow(api, { table: 'members', title: 'Member', id }, async (change) => {
      const { transaction, loadBalancer, revision } = change;
      await lockPool(change, poolId);
      const stored = await findRow(transaction, members, id);
      // A member that was kept out returns to the data plane, and its network may have changed hands since.
      if (stored.withheld && stored.network_id !== null) {
        (await loadVnicTypes(transaction, loadBalancer, id)).check(stored.network_id, stored.vnic_type);
      }
      await updateMember(transaction, id, {
        ...body,
        ...toUpdate(revision),
      });
      return {
        answer: await findRow(transaction, members, id),
        memberPorts: stored.withheld && stored.subnet_id !== null,
      };
    });
    return answerOne(context, members, row);
  });

  routes.delete('/:id', async (context) => {
    const { id, pool_id: poolId, subnet_id: subnetId } = await findMember(api, context);
    await changeBelow(api, { table: 'members', title: 'Member', id }, async (change) => {
      await lockPool(change, poolId);
      await updateMember(change.transaction, id, toDelete(change.revision));
      return { answer: undefined, memberPorts: subnetId !== null };
    });
    return context.body(null, 204);
  });

  return routes;
}

/** The member of the path; 404 also when the pool is unknown or another one. */
async function findMember(api: Api, context: Context): Promise<Member> {
  const { id: poolId } = await findRow(api.db, pools, pathId(context, 'Pool', 'poolId'));
  const member = await findRow(api.db, members, pathId(context, 'Member'));
  if (member.pool_id !== poolId) throw notFound('Member', member.id);
  return member;
}

export function presentMember(row: Member) {
  return {
    ...presentCommon(row),
    address: row.address,
    protocol_port: row.protocol_port,
    weight: row.weight,
    backup: row.backup,
    subnet_id: row.subnet_id,
    vnic_type: row.vnic_type,
    monitor_address: row.monitor_address,
    monitor_port: row.monitor_port,
  };
}

async function refusingDuplicates<Row>(member: NewMember, insert: () => Promise<Row>): Promise<Row> {
  try {
    return await insert();
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw conflict(
      `The pool already has a member ${member.address} with protocol_port ${member.protocol_port}.`,
    );
  }
}
