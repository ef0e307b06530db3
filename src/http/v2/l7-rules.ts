import { type Context, Hono } from 'hono';
import type { Insertable } from 'kysely';
import type * as z from 'zod';
import { updateL7Policy } from '../../store/l7-policies.ts';
import {
  countRules,
  insertL7Rule,
  type L7Rule,
  l7RuleAttributes,
  selectL7Rules,
  updateL7Rule,
} from '../../store/l7-rules.ts';
import { lockListener } from '../../store/listeners.ts';
import type { L7RuleTable } from '../../store/schema.ts';
import type { Api } from '../api.ts';
import { withoutProject } from '../attributes.ts';
import { readBody } from '../body.ts';
import { type Change, changeBelow, toCreate, toDelete, toUpdate } from '../change.ts';
import { notFound } from '../fault.ts';
import { newId } from '../idempotency.ts';
import { presentProvisioned } from '../present.ts';
import { answerList, answerOne, findRow, type OctaviaResource, pathId } from '../resource.ts';
import { checkRule, checkRuleCount, L7RulePost, L7RulePut } from '../schemas/l7-rule.ts';
import { l7Policies } from './l7-policies.ts';

export const l7Rules: OctaviaResource<'l7rules', L7Rule> = {
  title: 'L7 Rule',
  path: '/lbaas/l7policies/{policy_id}/rules',
  policy: 'l7rule',
  bodies: { post: L7RulePost, put: L7RulePut },
  root: 'rule',
  plural: 'rules',
  select: selectL7Rules,
  attributes: l7RuleAttributes,
  present: presentL7Rule,
};

/** `/l7policies/{policy_id}/rules` (contract A14). */
export function l7RuleRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', async (context) => {
    const { id: policyId } = await findPolicy(api, context);
    return answerList(context, api.db, l7Rules, (query) => query.where('l7policy_id', '=', policyId));
  });

  routes.get('/:id', async (context) => answerOne(context, l7Rules, await findRule(api, context)));

  routes.post('/', async (context) => {
    const policyId = pathId(context, 'L7 Policy', 'policyId');
    const values = withoutProject(await readBody(context, 'rule', L7RulePost));
    checkRule(values);
    const id = newId(context);
    const target = { table: 'l7policies', title: 'L7 Policy', id: policyId } as const;
    const row = await changeBelow(
      api,
      target,
      async (change) => {
        const { transaction, loadBalancer, revision } = change;
        checkRuleCount((await countRules(transaction, policyId)) + 1);
        const parent = {
          id,
          policyId,
          loadBalancerId: loadBalancer.id,
          projectId: loadBalancer.project_id,
          revision,
        };
        const answer = await insertL7Rule(transaction, l7RuleRow(values, parent));
        await lockPolicy(change, policyId);
        return { answer };
      },
      { growth: { l7rule: 1 } },
    );
    return answerOne(context, l7Rules, row, 201);
  });

  routes.put('/:id', async (context) => {
    const { id, l7policy_id: policyId } = await findRule(api, context);
    const body = await readBody(context, 'rule', L7RulePut);
    const row = await changeBelow(api, { table: 'l7rules', title: 'L7 Rule', id }, async (change) => {
      const { transaction, revision } = change;
      checkRule({ ...(await findRow(transaction, l7Rules, id)), ...body });
      await updateL7Rule(transaction, id, { ...body, ...toUpdate(revision) });
      await lockPolicy(change, policyId);
      return { answer: await findRow(transaction, l7Rules, id) };
    });
    return answerOne(context, l7Rules, row);
  });

  routes.delete('/:id', async (context) => {
    const { id, l7policy_id: policyId } = await findRule(api, context);
    await changeBelow(api, { table: 'l7rules', title: 'L7 Rule', id }, async (change) => {
      await updateL7Rule(change.transaction, id, toDelete(change.revision));
      await lockPolicy(change, policyId);
      return { answer: undefined };
    });
    return context.body(null, 204);
  });

  return routes;
}

function findPolicy(api: Api, context: Context) {
  return findRow(api.db, l7Policies, pathId(context, 'L7 Policy', 'policyId'));
}

/** The rule of the path; 404 also when the policy is unknown or another one. */
async function findRule(api: Api, context: Context): Promise<L7Rule> {
  const { id: policyId } = await findPolicy(api, context);
  const rule = await findRow(api.db, l7Rules, pathId(context, 'L7 Rule'));
  if (rule.l7policy_id !== policyId) throw notFound('L7 Rule', rule.id);
  return rule;
}

/** Mark a policy, and its listener, as changing with a rule of it. */
async function lockPolicy({ transaction }: Change, id: string): Promise<void> {
  const { listener_id: listenerId, provisioning_status: status } = await findRow(transaction, l7Policies, id);
  if (status === 'ACTIVE') await updateL7Policy(transaction, id, { provisioning_status: 'PENDING_UPDATE' });
  await lockListener(transaction, listenerId);
}

type Values = Omit<z.output<typeof L7RulePost>, 'project_id' | 'tenant_id'>;

/** The row of a new rule. */
export function l7RuleRow(
  values: Values,
  parent: { id: string; policyId: string; loadBalancerId: string; projectId: string; revision: number },
): Insertable<L7RuleTable> {
  return {
    ...values,
    id: parent.id,
    l7policy_id: parent.policyId,
    load_balancer_id: parent.loadBalancerId,
    project_id: parent.projectId,
    ...toCreate(parent.revision),
  };
}

export function presentL7Rule(row: L7Rule) {
  return {
    ...presentProvisioned(row),
    type: row.type,
    compare_type: row.compare_type,
    key: row.key,
    value: row.value,
    invert: row.invert,
  };
}
