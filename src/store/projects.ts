import type { Queryable } from './database.ts';

/** Tables of objects that belong to a project. */
export type ProjectTable =
  | 'load_balancers'
  | 'listeners'
  | 'pools'
  | 'members'
  | 'health_monitors'
  | 'l7policies'
  | 'l7rules';

/** The project that an object belongs to; undefined when there is no such object. */
export async function findProject(
  db: Queryable,
  table: ProjectTable,
  id: string,
): Promise<string | undefined> {
  const row = await db
    .selectFrom(table)
    .select('project_id')
    .where('id', '=', id)
    .where('provisioning_status', '<>', 'DELETED')
    .executeTakeFirst();
  return row?.project_id;
}
