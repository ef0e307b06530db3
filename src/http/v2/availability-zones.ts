import { type Context, Hono } from 'hono';
import * as z from 'zod';
import {
  type AvailabilityZone,
  availabilityZoneAttributes,
  deleteAvailabilityZone,
  insertAvailabilityZone,
  selectAvailabilityZones,
  updateAvailabilityZone,
} from '../../store/availability-zones.ts';
import { isForeignKeyViolation, isUniqueViolation } from '../../store/database-errors.ts';
import type { Api } from '../api.ts';
import { attribute, Flag, Name, onPost, onPut, Uuid } from '../attributes.ts';
import { readBody } from '../body.ts';
import { conflict, missingReference } from '../fault.ts';
import { answerList, answerOne, findRow, type OctaviaResource } from '../resource.ts';

const mutable = { description: attribute(Name, ''), enabled: attribute(Flag, true) };
const AvailabilityZonePost = z.strictObject({
  ...onPost(mutable),
  name: Name.min(1),
  availability_zone_profile_id: Uuid,
});
const AvailabilityZonePut = z.strictObject(onPut(mutable));

export const availabilityZones: OctaviaResource<'availability_zones', AvailabilityZone> = {
  title: 'Availability Zone',
  path: '/lbaas/availabilityzones',
  policy: 'availability-zone',
  bodies: { post: AvailabilityZonePost, put: AvailabilityZonePut },
  root: 'availability_zone',
  plural: 'availability_zones',
  select: selectAvailabilityZones,
  attributes: availabilityZoneAttributes,
  present: ({ name, description, enabled, availability_zone_profile_id }) => ({
    name,
    description,
    enabled,
    availability_zone_profile_id,
  }),
};

/** `/availabilityzones/{name}` (contract A17). */
export function availabilityZoneRoutes({ db }: Api): Hono {
  const routes = new Hono();
  const find = (context: Context) => findRow(db, availabilityZones, context.req.param('name') ?? '');

  routes.get('/', (context) => answerList(context, db, availabilityZones));
  routes.get('/:name', async (context) => answerOne(context, availabilityZones, await find(context)));

  routes.post('/', async (context) => {
    const body = await readBody(context, 'availability_zone', AvailabilityZonePost);
    try {
      await insertAvailabilityZone(db, body);
    } catch (error) {
      if (isForeignKeyViolation(error))
        throw missingReference('Availability Zone Profile', body.availability_zone_profile_id);
      if (isUniqueViolation(error)) throw conflict(`An Availability Zone named ${body.name} already exists.`);
      throw error;
    }
    return answerOne(context, availabilityZones, await findRow(db, availabilityZones, body.name), 201);
  });

  routes.put('/:name', async (context) => {
    const { name } = await find(context);
    await updateAvailabilityZone(db, name, await readBody(context, 'availability_zone', AvailabilityZonePut));
    return answerOne(context, availabilityZones, await findRow(db, availabilityZones, name));
  });

  routes.delete('/:name', async (context) => {
    const { name } = await find(context);
    try {
      await db.transaction().execute((transaction) => deleteAvailabilityZone(transaction, name));
    } catch (error) {
      if (isForeignKeyViolation(error))
        throw conflict(`Availability Zone ${name} is in use by a Load Balancer.`);
      throw error;
    }
    return context.body(null, 204);
  });

  return routes;
}
