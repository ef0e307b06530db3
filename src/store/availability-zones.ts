import type { Queryable } from './database.ts';

export function findAvailabilityZone(db: Queryable, name: string) {
  return db.selectFrom('availability_zones').selectAll().where('name', '=', name).executeTakeFirst();
}
