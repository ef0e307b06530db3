import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { Queryable } from './database.ts';
import { columns } from './list.ts';
import type { FlavorTable } from './schema.ts';

export type Flavor = Selectable<FlavorTable>;

export const flavorAttributes = columns('flavors', {
  id: 'uuid',
  name: 'text',
  description: 'text',
  enabled: 'boolean',
  flavor_profile_id: 'uuid',
});

export function selectFlavors(db: Queryable) {
  return db.selectFrom('flavors').selectAll('flavors');
}

/** A flavor together with what its profile says. */
export function findFlavorWithProfile(db: Queryable, id: string) {
  return db
    .selectFrom('flavors')
    .innerJoin('flavor_profiles', 'flavor_profiles.id', 'flavors.flavor_profile_id')
    .select(['flavors.id', 'flavors.enabled', 'flavor_profiles.provider_name', 'flavor_profiles.flavor_data'])
    .where('flavors.id', '=', id)
    .executeTakeFirst();
}

export async function insertFlavor(db: Queryable, row: Insertable<FlavorTable>): Promise<void> {
  await db.insertInto('flavors').values(row).execute();
}

export async function updateFlavor(
  db: Queryable,
  id: string,
  values: Updateable<FlavorTable>,
): Promise<void> {
  if (Object.keys(values).length > 0)
    await db.updateTable('flavors').set(values).where('id', '=', id).execute();
}

/** Remove a flavor. Rows of deleted load balancers, kept until they are purged, let go of it. One that is in use violates a foreign key. */
export async function deleteFlavor(transaction: Queryable, id: string): Promise<void> {
  await transaction
    .updateTable('load_balancers')
    .set({ flavor_id: null })
    .where('flavor_id', '=', id)
    .where('provisioning_status', '=', 'DELETED')
    .execute();
  await transaction.deleteFrom('flavors').where('id', '=', id).execute();
}

/** Whether any flavor is made from a profile. */
export async function isProfileInUse(db: Queryable, profileId: string): Promise<boolean> {
  const { found } = await db
    .selectNoFrom(
      sql<boolean>`exists (select 1 from flavors where flavor_profile_id = ${profileId})`.as('found'),
    )
    .executeTakeFirstOrThrow();
  return found;
}
