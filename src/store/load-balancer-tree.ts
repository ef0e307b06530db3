import { CompiledQuery, type Insertable, type Selectable } from 'kysely';
import type { Queryable } from './database.ts';
import { insertInOrder } from './rows-in-order.ts';
import type { Database, LoadBalancerTable } from './schema.ts';

/** What a load balancer is made of, in the order in which rows name each other and status events tell of them. */
const tables = [
  'load_balancers',
  'additional_vips',
  'pools',
  'health_monitors',
  'members',
  'listeners',
  'l7policies',
  'l7rules',
] as const;
type TreeTable = (typeof tables)[number];

/** Rows of a table have all the same columns. */
export type NewTree = { [Table in TreeTable]: Insertable<Database[Table]>[] };
export type StoredTree = { [Table in TreeTable]: Selectable<Database[Table]>[] } & {
  load_balancers: [Selectable<LoadBalancerTable>];
};

/**
 * Store a load balancer with everything below it, and end the intent that its VIP's port was made with. One statement does
 * all, and says the same for trees of any size: it is the number of statements that makes the request slow, and each new text
 * would have to be planned.
 * @returns the rows as they are stored now, and whether there was an intent
 */
export async function insertTree(
  transaction: Queryable,
  tree: NewTree,
): Promise<StoredTree & { hadIntent: boolean }> {
  const filled = tables.filter((table) => tree[table].length > 0);
  const inserts = filled.map(
    (table, index) =>
      `new_${table} AS (${insertInOrder(table, tree[table], `$${index + 1}::jsonb`)} RETURNING *)`,
  );
  const intent = `DELETE FROM vip_intents USING new_load_balancers AS new WHERE load_balancer_id = new.id RETURNING new.id`;
  const answers = filled.map((table) => `(SELECT json_agg(row) FROM new_${table} AS row) AS ${table}`);
  const { rows } = await transaction.executeQuery<
    Partial<Record<TreeTable, object[]>> & { hadIntent: boolean }
  >(
    CompiledQuery.raw(
      `WITH ${inserts.join(', ')}, intent AS (${intent})
       SELECT ${answers.join(', ')}, EXISTS (SELECT FROM intent) AS "hadIntent"`,
      filled.map((table) => JSON.stringify(tree[table])),
    ),
  );
  const stored = tables.map((table) => [table, (rows[0]?.[table] ?? []).map(withDates)]);
  return { ...(Object.fromEntries(stored) as StoredTree), hadIntent: rows[0]?.hadIntent === true };
}

/** JSON has no dates. */
function withDates(row: object & { created_at?: string }): object {
  return row.created_at === undefined ? row : { ...row, created_at: new Date(row.created_at) };
}
