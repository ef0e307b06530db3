import { Hono } from 'hono';
import type { Insertable } from 'kysely';
import type { Queryable } from '../../store/database.ts';
import { isUniqueViolation } from '../../store/database-errors.ts';
import {
  insertListener,
  type Listener,
  listenerAttributes,
  selectListeners,
  updateListener,
} from '../../store/listeners.ts';
import { findVipAddresses } from '../../store/load-balancers.ts';
import type { ListenerTable } from '../../store/schema.ts';
import type { Api } from '../api.ts';
import { withoutProject } from '../attributes.ts';
import { readBody } from '../body.ts';
import { type Change, changeBelow, changeLoadBalancer, toCreate, toDelete, toUpdate } from '../change.ts';
import { conflict } from '../fault.ts';
import { newId } from '../idempotency.ts';
import { listenerLimits } from '../limits.ts';
import { presentCommon } from '../present.ts';
import { answerList, answerOne, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';
import {
  checkAllowedCidrs,
  checkListener,
  completeListener,
  ListenerPost,
  ListenerPut,
  type ListenerValues,
} from '../schemas/listener.ts';
import { checkSecrets, referencesOfListener } from '../secrets.ts';
import { answerStats } from '../stats.ts';
import { checkPoolOf } from './pools.ts';

export const listeners: OctaviaResource<'listeners', Listener> = {
  title: 'Listener',
  path: '/lbaas/listeners',
  policy: 'listener',
  bodies: { post: ListenerPost, put: ListenerPut },
  root: 'listener',
  plural: 'listeners',
  select: selectListeners,
  attributes: listenerAttributes,
  present: presentListener,
};

/** `/listeners` (contract A9). */
export function listenerRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', (context) => answerList(context, api.db, listeners));
  routes.get('/:id', (context) => answerShow(context, api.db, listeners));
  routes.get('/:id/stats', (context) => answerStats(context, api.db, listeners));

  routes.post('/', async (context) => {
    const { loadbalancer_id: loadBalancerId, ...body } = await readBody(context, 'listener', ListenerPost);
    const { default_pool_id: poolId, ...given } = withoutProject(body);
    const values = completeListener(given);
    checkListener(values, await listenerLimits(api));
    await checkSecrets(context, api.secrets, [referencesOfListener(values)]);
    const id = newId(context);
    const row = await changeLoadBalancer(
      api,
      loadBalancerId,
      async ({ transaction, loadBalancer, revision }) => {
        await checkAllowed(transaction, loadBalancer, values.allowed_cidrs);
        if (poolId !== null) await checkPoolOf(transaction, loadBalancerId, values.protocol, poolId);
        const parent = { id, loadBalancerId, projectId: loadBalancer.project_id, poolId, revision };
        const row = await refusingDuplicates(values.protocol_port, () =>
          insertListener(transaction, listenerRow(values, parent)),
        );
        return { answer: { ...row, l7policies: [] } };
      },
      { growth: { listener: 1 } },
    );
    return answerOne(context, listeners, row, 201);
  });

  routes.put('/:id', async (context) => {
    const id = pathId(context, 'Listener');
    const body = await readBody(context, 'listener', ListenerPut);
    const limits = await listenerLimits(api);
    if (REFERENCES.some((name) => name in body)) {
      const stored = await findRow(api.db, listeners, id);
      await checkSecrets(context, api.secrets, [referencesOfListener({ ...stored, ...body })]);
    }
    const target = { table: 'listeners', title: 'Listener', id } as const;
    const row = await changeBelow(api, target, async ({ transaction, loadBalancer, revision }) => {
      const stored = await findRow(transaction, listeners, id);
      const { default_pool_id: poolId } = body;
      checkListener({ ...stored, ...body }, limits);
      if (body.allowed_cidrs !== undefined) await checkAllowed(transaction, loadBalancer, body.allowed_cidrs);
      if (poolId) await checkPoolOf(transaction, loadBalancer.id, stored.protocol, poolId);
      const { insert_headers: headers, ...values } = body;
      await updateListener(transaction, id, {
        ...values,
        ...(headers && { insert_headers: JSON.stringify(headers) }),
        ...toUpdate(revision),
      });
      return { answer: await findRow(transaction, listeners, id) };
    });
    return answerOne(context, listeners, row);
  });

  routes.delete('/:id', async (context) => {
    const id = pathId(context, 'Listener');
    await changeBelow(
      api,
      { table: 'listeners', title: 'Listener', id },
      async ({ transaction, revision }) => {
        await updateListener(transaction, id, toDelete(revision));
        return { answer: undefined };
      },
    );
    return context.body(null, 204);
  });

  return routes;
}

const REFERENCES = [
  'default_tls_container_ref',
  'sni_container_refs',
  'client_ca_tls_container_ref',
  'client_crl_container_ref',
] as const;

async function checkAllowed(
  transaction: Queryable,
  { id, vip_sg_ids }: Change['loadBalancer'],
  cidrs: string[] | null,
): Promise<void> {
  if (cidrs !== null) checkAllowedCidrs(cidrs, await findVipAddresses(transaction, id), vip_sg_ids);
}

/** The row of a new listener. */
export function listenerRow(
  values: ListenerValues,
  parent: { id: string; loadBalancerId: string; projectId: string; poolId: string | null; revision: number },
): Insertable<ListenerTable> {
  return {
    ...values,
    insert_headers: JSON.stringify(values.insert_headers),
    id: parent.id,
    load_balancer_id: parent.loadBalancerId,
    project_id: parent.projectId,
    default_pool_id: parent.poolId,
    ...toCreate(parent.revision),
  };
}

export function presentListener(row: Listener) {
  return {
    ...presentCommon(row),
    description: row.description,
    protocol: row.protocol,
    protocol_port: row.protocol_port,
    connection_limit: row.connection_limit,
    default_pool_id: row.default_pool_id,
    insert_headers: row.insert_headers,
    allowed_cidrs: row.allowed_cidrs,
    timeout_client_data: row.timeout_client_data,
    timeout_member_connect: row.timeout_member_connect,
    timeout_member_data: row.timeout_member_data,
    timeout_tcp_inspect: row.timeout_tcp_inspect,
    default_tls_container_ref: row.default_tls_container_ref,
    sni_container_refs: row.sni_container_refs,
    client_ca_tls_container_ref: row.client_ca_tls_container_ref,
    client_crl_container_ref: row.client_crl_container_ref,
    client_authentication: row.client_authentication,
    tls_ciphers: row.tls_ciphers,
    tls_versions: row.tls_versions,
    alpn_protocols: row.alpn_protocols,
    hsts_max_age: row.hsts_max_age,
    hsts_include_subdomains: row.hsts_include_subdomains,
    hsts_preload: row.hsts_preload,
    loadbalancers: [{ id: row.load_balancer_id }],
    l7policies: row.l7policies,
  };
}

async function refusingDuplicates<Row>(port: number, insert: () => Promise<Row>): Promise<Row> {
  try {
    return await insert();
  } catch (error) {
    if (isUniqueViolation(error))
      throw conflict(`Another listener of the load balancer has port ${port} already.`);
    throw error;
  }
}
