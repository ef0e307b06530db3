import { Hono } from 'hono';
import type { Insertable } from 'kysely';
import type * as z from 'zod';
import type { ListenerProtocol } from '../../model/graph.ts';
import { findLoadBalancerId } from '../../store/children.ts';
import type { Queryable } from '../../store/database.ts';
import { lockListenersOf, selectListeners, updateListener } from '../../store/listeners.ts';
import { hasMemberSubnets } from '../../store/members.ts';
import {
  insertPool,
  isRedirectTarget,
  type Pool,
  poolAttributes,
  selectPools,
  updatePool,
} from '../../store/pools.ts';
import type { PoolTable } from '../../store/schema.ts';
import type { Api } from '../api.ts';
import { withoutProject } from '../attributes.ts';
import { readBody } from '../body.ts';
import { type Change, changeBelow, changeLoadBalancer, toCreate, toDelete, toUpdate } from '../change.ts';
import { badRequest, conflict, immutable, invalidInput, notFound } from '../fault.ts';
import { newId } from '../idempotency.ts';
import { tlsLimits } from '../limits.ts';
import { presentCommon } from '../present.ts';
import { answerList, answerOne, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';
import { checkPoolProtocol } from '../schemas/listener.ts';
import { checkPool, completePool, PoolPost, PoolPut, type PoolValues } from '../schemas/pool.ts';
import { checkSecrets, referencesOfPool } from '../secrets.ts';

export const pools: OctaviaResource<'pools', Pool> = {
  title: 'Pool',
  path: '/lbaas/pools',
  policy: 'pool',
  bodies: { post: PoolPost, put: PoolPut },
  root: 'pool',
  plural: 'pools',
  select: selectPools,
  attributes: poolAttributes,
  present: presentPool,
};

/** `/pools` (contract A10). */
export function poolRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', (context) => answerList(context, api.db, pools));
  routes.get('/:id', (context) => answerShow(context, api.db, pools));

  routes.post('/', async (context) => {
    const { loadbalancer_id, listener_id: listenerId, ...body } = await readBody(context, 'pool', PoolPost);
    const values = completePool(withoutProject(body));
    checkPool(values, tlsLimits(api));
    await checkSecrets(context, api.secrets, [referencesOfPool(values)]);
    const loadBalancerId = await parentOf(api, loadbalancer_id, listenerId);
    const id = newId(context);
    const row = await changeLoadBalancer(
      api,
      loadBalancerId,
      async (change) => {
        const { transaction, loadBalancer, revision } = change;
        if (listenerId !== null) await checkListenerIsFree(change, listenerId, values.protocol);
        const parent = { id, loadBalancerId, projectId: loadBalancer.project_id, revision };
        const row = await insertPool(transaction, poolRow(values, parent));
        if (listenerId !== null) {
          await updateListener(transaction, listenerId, { default_pool_id: id });
          await lockListenersOf(transaction, id);
        }
        const users = listenerId === null ? [] : [{ id: listenerId }];
        return { answer: { ...row, listeners: users, members: [], healthmonitor_id: null } };
      },
      { growth: { pool: 1 } },
    );
    return answerOne(context, pools, row, 201);
  });

  routes.put('/:id', async (context) => {
    const id = pathId(context, 'Pool');
    const body = await readBody(context, 'pool', PoolPut);
    if (REFERENCES.some((name) => name in body)) {
      const stored = await findRow(api.db, pools, id);
      await checkSecrets(context, api.secrets, [referencesOfPool({ ...stored, ...body })]);
    }
    const row = await changeBelow(
      api,
      { table: 'pools', title: 'Pool', id },
      async ({ transaction, revision }) => {
        const stored = await findRow(transaction, pools, id);
        const values = { ...body, session_persistence: mergePersistence(body.session_persistence, stored) };
        const merged = { ...stored, ...values };
        checkPool(merged, tlsLimits(api));
        await updatePool(transaction, id, {
          ...values,
          session_persistence: toJson(merged.session_persistence),
          ...toUpdate(revision),
        });
        await lockListenersOf(transaction, id);
        return { answer: await findRow(transaction, pools, id) };
      },
    );
    return answerOne(context, pools, row);
  });

  routes.delete('/:id', async (context) => {
    const id = pathId(context, 'Pool');
    await changeBelow(api, { table: 'pools', title: 'Pool', id }, async ({ transaction, revision }) => {
      if (await isRedirectTarget(transaction, id)) throw conflict(`Pool ${id} is in use by an L7 Policy.`);
      await updatePool(transaction, id, toDelete(revision));
      await lockListenersOf(transaction, id);
      return { answer: undefined, memberPorts: await hasMemberSubnets(transaction, id) };
    });
    return context.body(null, 204);
  });

  return routes;
}

const REFERENCES = ['tls_container_ref', 'ca_tls_container_ref', 'crl_container_ref'] as const;

/** The row of a new pool. */
export function poolRow(
  values: PoolValues,
  parent: { id: string; loadBalancerId: string; projectId: string; revision: number },
): Insertable<PoolTable> {
  return {
    ...values,
    session_persistence: toJson(values.session_persistence),
    id: parent.id,
    load_balancer_id: parent.loadBalancerId,
    project_id: parent.projectId,
    ...toCreate(parent.revision),
  };
}

export function presentPool(row: Pool) {
  return {
    ...presentCommon(row),
    description: row.description,
    protocol: row.protocol,
    lb_algorithm: row.lb_algorithm,
    session_persistence: row.session_persistence,
    tls_enabled: row.tls_enabled,
    tls_container_ref: row.tls_container_ref,
    ca_tls_container_ref: row.ca_tls_container_ref,
    crl_container_ref: row.crl_container_ref,
    tls_ciphers: row.tls_ciphers,
    tls_versions: row.tls_versions,
    alpn_protocols: row.alpn_protocols,
    loadbalancers: [{ id: row.load_balancer_id }],
    listeners: row.listeners,
    members: row.members,
    // The one attribute that is left out where there is nothing (contract A3).
    ...(row.healthmonitor_id !== null && { healthmonitor_id: row.healthmonitor_id }),
  };
}

/** The pool that something below it is to change in; it has to take changes for that, as its load balancer does. */
export async function findActivePool({ transaction, loadBalancer }: Change, id: string): Promise<Pool> {
  const pool = await findRow(transaction, pools, id);
  const queued = loadBalancer.provisioning_status === 'PENDING_UPDATE';
  const taken = queued ? ['ACTIVE', 'PENDING_CREATE', 'PENDING_UPDATE'] : ['ACTIVE'];
  if (!taken.includes(pool.provisioning_status)) throw immutable('Pool', id);
  return pool;
}

/** Mark that pool, and the listeners that use it, as changing with what is below it. */
export async function lockPool(change: Change, id: string): Promise<Pool> {
  const pool = await findActivePool(change, id);
  if (pool.provisioning_status === 'ACTIVE')
    await updatePool(change.transaction, id, { provisioning_status: 'PENDING_UPDATE' });
  await lockListenersOf(change.transaction, id);
  return pool;
}

/**
 * Check that a listener of that protocol may send its traffic to a pool.
 * @throws Fault 404 when the load balancer has no such pool, 400 when the protocols do not fit
 */
export async function checkPoolOf(
  transaction: Queryable,
  loadBalancerId: string,
  protocol: ListenerProtocol,
  poolId: string,
): Promise<void> {
  const pool = await selectPools(transaction)
    .where('id', '=', poolId)
    .where('load_balancer_id', '=', loadBalancerId)
    .where('provisioning_status', '<>', 'PENDING_DELETE')
    .executeTakeFirst();
  if (pool === undefined) throw notFound('Pool', poolId);
  checkPoolProtocol(protocol, pool.protocol);
}

/** A pool is created in a load balancer, or for a listener and so in its load balancer. */
async function parentOf(api: Api, loadBalancerId: string | null, listenerId: string | null): Promise<string> {
  if (listenerId === null) {
    if (loadBalancerId === null) throw badRequest('A pool needs loadbalancer_id or listener_id.');
    return loadBalancerId;
  }
  const parent = await findLoadBalancerId(api.db, 'listeners', listenerId);
  if (parent === undefined) throw notFound('Listener', listenerId);
  if (loadBalancerId !== null && loadBalancerId !== parent) {
    throw invalidInput('listener_id', listenerId, `It does not belong to load balancer ${loadBalancerId}.`);
  }
  return parent;
}

async function checkListenerIsFree({ transaction }: Change, listenerId: string, protocol: Pool['protocol']) {
  const listener = await selectListeners(transaction).where('id', '=', listenerId).executeTakeFirst();
  if (listener === undefined) throw notFound('Listener', listenerId);
  if (listener.provisioning_status === 'PENDING_DELETE') throw immutable('Listener', listenerId);
  if (listener.default_pool_id !== null) throw conflict(`Listener ${listenerId} already has a default pool.`);
  checkPoolProtocol(listener.protocol, protocol);
}

/** Undefined leaves it, null removes it; a missing type is the stored one. */
function mergePersistence(given: z.output<typeof PoolPut>['session_persistence'], stored: Pool) {
  if (given === undefined) return stored.session_persistence;
  if (given === null) return null;
  const type = given.type ?? stored.session_persistence?.type;
  if (type === undefined)
    throw invalidInput('session_persistence.type', undefined, 'Mandatory field missing.');
  return { ...given, type };
}

function toJson(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}
