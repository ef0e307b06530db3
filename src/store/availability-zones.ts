import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { Queryable } from './database.ts';
import { columns } from './list.ts';
import type { AvailabilityZoneTable } from './schema.ts';

/** Zones have no id: they go by their name. */
export interface AvailabilityZone extends Selectable<AvailabilityZoneTable> {
  id: string;
}

export const availabilityZoneAttributes = {
  ...columns('availability_zones', {
    name: 'text',
    description: 'text',
    enabled: 'boolean',
    availability_zone_profile_id: 'uuid',
  }),
  id: { type: 'text', expression: sql.ref('availability_zones.name') },
} as const;

export function selectAvailabilityZones(db: Queryable) {
  return db.selectFrom('availability_zones').selectAll('availability_zones').select('name as id');
}

/** A zone together with what its profile says. */
export function findZoneWithProfile(db: Queryable, name: string) {
  return db
    .selectFrom('availability_zones as zone')
    .innerJoin('availability_zone_profiles as profile', 'profile.id', 'zone.availability_zone_profile_id')
    .select(['zone.name', 'zone.enabled', 'profile.provider_name', 'profile.availability_zone_data'])
    .where('zone.name', '=', name)
    .executeTakeFirst();
}

export async function insertAvailabilityZone(
  db: Queryable,
  row: Insertable<AvailabilityZoneTable>,
): Promise<void> {
  await db.insertInto('availability_zones').values(row).execute();
}

export async function updateAvailabilityZone(
  db: Queryable,
  name: string,
  values: Updateable<AvailabilityZoneTable>,
): Promise<void> {
  if (Object.keys(values).length > 0)
    await db.updateTable('availability_zones').set(values).where('name', '=', name).execute();
}

/** Remove a zone. Rows of deleted load balancers let go of it; one that is in use violates a foreign key. */
export async function deleteAvailabilityZone(transaction: Queryable, name: string): Promise<void> {
  await transaction
    .updateTable('load_balancers')
    .set({ availability_zone: null })
    .where('availability_zone', '=', name)
    .where('provisioning_status', '=', 'DELETED')
    .execute();
  await transaction.deleteFrom('availability_zones').where('name', '=', name).execute();
}

/** Whether any zone is made from a profile. */
export async function isZoneProfileInUse(db: Queryable, profileId: string): Promise<boolean> {
  const zone = await db
    .selectFrom('availability_zones')
    .select('name')
    .where('availability_zone_profile_id', '=', profileId)
    .limit(1)
    .executeTakeFirst();
  return zone !== undefined;
}
