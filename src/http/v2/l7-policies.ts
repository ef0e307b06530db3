import { Hono } from 'hono';
import type { Insertable } from 'kysely';
import type * as z from 'zod';
import type { ListenerProtocol } from '../../model/graph.ts';
import {
  insertL7Policy,
  type L7Policy,
  l7PolicyAttributes,
  rearrangeL7Policies,
  selectL7Policies,
  updateL7Policy,
} from '../../store/l7-policies.ts';
import { lockListener } from '../../store/listeners.ts';
import type { L7PolicyTable } from '../../store/schema.ts';
import type { Api } from '../api.ts';
import { withoutProject } from '../attributes.ts';
import { readBody } from '../body.ts';
import { type Change, changeBelow, toCreate, toDelete, toUpdate } from '../change.ts';
import { newId } from '../idempotency.ts';
import { presentCommon } from '../present.ts';
import { answerList, answerOne, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';
import {
  checkPolicyListener,
  completeRedirect,
  L7PolicyPost,
  L7PolicyPut,
  mergeRedirect,
  type nestedL7Policy,
  type Redirect,
} from '../schemas/l7-policy.ts';
import { listeners } from './listeners.ts';
import { checkPoolOf } from './pools.ts';

export const l7Policies: OctaviaResource<'l7policies', L7Policy> = {
  title: 'L7 Policy',
  path: '/lbaas/l7policies',
  policy: 'l7policy',
  bodies: { post: L7PolicyPost, put: L7PolicyPut },
  root: 'l7policy',
  plural: 'l7policies',
  select: selectL7Policies,
  attributes: l7PolicyAttributes,
  present: presentL7Policy,
};

/** `/l7policies` (contract A13). */
export function l7PolicyRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', (context) => answerList(context, api.db, l7Policies));
  routes.get('/:id', (context) => answerShow(context, api.db, l7Policies));

  routes.post('/', async (context) => {
    const body = await readBody(context, 'l7policy', L7PolicyPost);
    const { listener_id: listenerId, position, ...values } = withoutProject(body);
    const redirect = completeRedirect(values);
    const id = newId(context);
    const target = { table: 'listeners', title: 'Listener', id: listenerId } as const;
    const row = await changeBelow(
      api,
      target,
      async (change) => {
        const { transaction, loadBalancer, revision } = change;
        const listener = await findRow(transaction, listeners, listenerId);
        checkPolicyListener(listener.protocol);
        await checkRedirectPool(change, listener.protocol, redirect);
        const parent = {
          id,
          listenerId,
          loadBalancerId: loadBalancer.id,
          projectId: loadBalancer.project_id,
          revision,
        };
        await insertL7Policy(transaction, l7PolicyRow({ ...values, ...redirect, position }, parent));
        await rearrangeL7Policies(transaction, listenerId, (ids) => movedTo(ids, id, position));
        await lockListener(transaction, listenerId);
        return { answer: await findRow(transaction, l7Policies, id) };
      },
      { growth: { l7policy: 1 } },
    );
    return answerOne(context, l7Policies, row, 201);
  });

  routes.put('/:id', async (context) => {
    const id = pathId(context, 'L7 Policy');
    const { position, ...body } = await readBody(context, 'l7policy', L7PolicyPut);
    const row = await changeBelow(api, target(id), async (change) => {
      const { transaction, revision } = change;
      const stored = await findRow(transaction, l7Policies, id);
      const { listener_id: listenerId } = stored;
      const redirect = mergeRedirect(stored, body);
      if (redirect.redirect_pool_id !== stored.redirect_pool_id) {
        const { protocol } = await findRow(transaction, listeners, listenerId);
        await checkRedirectPool(change, protocol, redirect);
      }
      await updateL7Policy(transaction, id, { ...body, ...redirect, ...toUpdate(revision) });
      if (position !== undefined)
        await rearrangeL7Policies(transaction, listenerId, (ids) => movedTo(ids, id, position));
      await lockListener(transaction, listenerId);
      return { answer: await findRow(transaction, l7Policies, id) };
    });
    return answerOne(context, l7Policies, row);
  });

  routes.delete('/:id', async (context) => {
    const id = pathId(context, 'L7 Policy');
    await changeBelow(api, target(id), async ({ transaction, revision }) => {
      const { listener_id: listenerId } = await findRow(transaction, l7Policies, id);
      await updateL7Policy(transaction, id, toDelete(revision));
      await rearrangeL7Policies(transaction, listenerId, (ids) => ids);
      await lockListener(transaction, listenerId);
      return { answer: undefined };
    });
    return context.body(null, 204);
  });

  return routes;
}

const target = (id: string) => ({ table: 'l7policies', title: 'L7 Policy', id }) as const;

/** The order in which one of the ids has that position, counted from 1, or the last one before it. */
export function movedTo(ids: string[], id: string, position: number): string[] {
  return ids.filter((other) => other !== id).toSpliced(position - 1, 0, id);
}

async function checkRedirectPool(
  change: Change,
  protocol: ListenerProtocol,
  { redirect_pool_id: poolId }: Redirect,
): Promise<void> {
  if (poolId !== null) await checkPoolOf(change.transaction, change.loadBalancer.id, protocol, poolId);
}

type Nested = z.output<z.ZodObject<typeof nestedL7Policy>>;
type Values = Omit<Nested, 'project_id' | 'tenant_id'> & Redirect;

/** The row of a new policy. */
export function l7PolicyRow(
  values: Values,
  parent: { id: string; listenerId: string; loadBalancerId: string; projectId: string; revision: number },
): Insertable<L7PolicyTable> {
  return {
    ...values,
    id: parent.id,
    listener_id: parent.listenerId,
    load_balancer_id: parent.loadBalancerId,
    project_id: parent.projectId,
    ...toCreate(parent.revision),
  };
}

export function presentL7Policy(row: L7Policy) {
  return {
    ...presentCommon(row),
    description: row.description,
    listener_id: row.listener_id,
    action: row.action,
    position: row.position,
    redirect_pool_id: row.redirect_pool_id,
    redirect_url: row.redirect_url,
    redirect_prefix: row.redirect_prefix,
    redirect_http_code: row.redirect_http_code,
    rules: row.rules,
  };
}
