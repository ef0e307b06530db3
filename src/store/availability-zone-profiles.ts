import type { Insertable, Selectable, Updateable } from 'kysely';
import type { Queryable } from './database.ts';
import { columns } from './list.ts';
import type { AvailabilityZoneProfileTable } from './schema.ts';

export type AvailabilityZoneProfile = Selectable<AvailabilityZoneProfileTable>;

export const availabilityZoneProfileAttributes = columns('availability_zone_profiles', {
  id: 'uuid',
  name: 'text',
  provider_name: 'text',
  availability_zone_data: 'text',
});

export function selectAvailabilityZoneProfiles(db: Queryable) {
  return db.selectFrom('availability_zone_profiles').selectAll('availability_zone_profiles');
}

export async function insertAvailabilityZoneProfile(
  db: Queryable,
  row: Insertable<AvailabilityZoneProfileTable>,
): Promise<void> {
  await db.insertInto('availability_zone_profiles').values(row).execute();
}

export async function updateAvailabilityZoneProfile(
  db: Queryable,
  id: string,
  values: Updateable<AvailabilityZoneProfileTable>,
): Promise<void> {
  if (Object.keys(values).length > 0)
    await db.updateTable('availability_zone_profiles').set(values).where('id', '=', id).execute();
}

export async function deleteAvailabilityZoneProfile(db: Queryable, id: string): Promise<void> {
  await db.deleteFrom('availability_zone_profiles').where('id', '=', id).execute();
}
