import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { Queryable } from './database.ts';
import { columns, provisionedColumns } from './list.ts';
import type { L7RuleTable } from './schema.ts';

export type L7Rule = Selectable<L7RuleTable>;

const { name, ...nameless } = provisionedColumns;

export const l7RuleAttributes = columns('l7rules', {
  ...nameless,
  type: 'text',
  compare_type: 'text',
  key: 'text',
  value: 'text',
  invert: 'boolean',
});

export function selectL7Rules(db: Queryable) {
  return db.selectFrom('l7rules').selectAll('l7rules');
}

export function insertL7Rule(
  transaction: Queryable,
  row: Insertable<L7RuleTable>,
): Promise<Selectable<L7RuleTable>> {
  return transaction.insertInto('l7rules').values(row).returningAll().executeTakeFirstOrThrow();
}

export async function updateL7Rule(
  transaction: Queryable,
  id: string,
  values: Updateable<L7RuleTable>,
): Promise<void> {
  await transaction.updateTable('l7rules').set(values).where('id', '=', id).execute();
}

/** How many rules a policy has, but for those that are on their way out. */
export async function countRules(transaction: Queryable, policyId: string): Promise<number> {
  const { count } = await transaction
    .selectFrom('l7rules')
    .select(sql<number>`count(*)`.as('count'))
    .where('l7policy_id', '=', policyId)
    .where('provisioning_status', '<>', 'PENDING_DELETE')
    .executeTakeFirstOrThrow();
  return count;
}
