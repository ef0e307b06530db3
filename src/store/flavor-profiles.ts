import type { Insertable, Selectable, Updateable } from 'kysely';
import type { Queryable } from './database.ts';
import { columns } from './list.ts';
import type { FlavorProfileTable } from './schema.ts';

export type FlavorProfile = Selectable<FlavorProfileTable>;

export const flavorProfileAttributes = columns('flavor_profiles', {
  id: 'uuid',
  name: 'text',
  provider_name: 'text',
  flavor_data: 'text',
});

export function selectFlavorProfiles(db: Queryable) {
  return db.selectFrom('flavor_profiles').selectAll('flavor_profiles');
}

export async function insertFlavorProfile(db: Queryable, row: Insertable<FlavorProfileTable>): Promise<void> {
  await db.insertInto('flavor_profiles').values(row).execute();
}

export async function updateFlavorProfile(
  db: Queryable,
  id: string,
  values: Updateable<FlavorProfileTable>,
): Promise<void> {
  if (Object.keys(values).length === 0) return;
  await db.updateTable('flavor_profiles').set(values).where('id', '=', id).execute();
}

export async function deleteFlavorProfile(db: Queryable, id: string): Promise<void> {
  await db.deleteFrom('flavor_profiles').where('id', '=', id).execute();
}
