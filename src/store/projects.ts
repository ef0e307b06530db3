import type { Queryable } from './database.ts';
import { anyOf } from './list.ts';
import { type Lookup, sharedLookup } from './shared-lookup.ts';

/** Tables of objects that belong to a project. */
const projectTables = [
  'load_balancers',
  'listeners',
  'pools',
  'members',
  'health_monitors',
  'l7policies',
  'l7rules',
] as const;

export type ProjectTable = (typeof projectTables)[number];

const lookups = Object.fromEntries(
  projectTables.map((table) => [
    table,
    sharedLookup((db, ids) =>
      db
        .selectFrom(table)
        .select(['id', 'project_id'])
        .where('id', '=', anyOf(ids))
        .where('provisioning_status', '<>', 'DELETED'),
    ),
  ]),
) as Record<ProjectTable, Lookup<{ id: string; project_id: string }>>;

/**
 * The project that an object belongs to; undefined when there is no such object.
 * @param id as the database writes it
 */
export async function findProject(
  db: Queryable,
  table: ProjectTable,
  id: string,
): Promise<string | undefined> {
  const row = await lookups[table](db, id);
  return row?.project_id;
}
