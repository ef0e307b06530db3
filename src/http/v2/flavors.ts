import { Hono } from 'hono';
import * as z from 'zod';
import { isForeignKeyViolation, isUniqueViolation } from '../../store/database-errors.ts';
import {
  deleteFlavor,
  type Flavor,
  flavorAttributes,
  insertFlavor,
  selectFlavors,
  updateFlavor,
} from '../../store/flavors.ts';
import type { Api } from '../api.ts';
import { attribute, Flag, mandatory, Name, onPost, onPut, Uuid } from '../attributes.ts';
import { readBody } from '../body.ts';
import { conflict, missingReference } from '../fault.ts';
import { newId } from '../idempotency.ts';
import { answerList, answerOne, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';

const mutable = {
  name: mandatory(Name.min(1)),
  description: attribute(Name, ''),
  enabled: attribute(Flag, true),
};
const FlavorPost = z.strictObject({ ...onPost(mutable), flavor_profile_id: Uuid });
const FlavorPut = z.strictObject(onPut(mutable));

export const flavors: OctaviaResource<'flavors', Flavor> = {
  title: 'Flavor',
  path: '/lbaas/flavors',
  policy: 'flavor',
  bodies: { post: FlavorPost, put: FlavorPut },
  root: 'flavor',
  plural: 'flavors',
  select: selectFlavors,
  attributes: flavorAttributes,
  present: ({ id, name, description, enabled, flavor_profile_id }) => ({
    id,
    name,
    description,
    enabled,
    flavor_profile_id,
  }),
};

/** `/flavors` (contract A17). */
export function flavorRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', (context) => answerList(context, api.db, flavors));
  routes.get('/:id', (context) => answerShow(context, api.db, flavors));

  routes.post('/', async (context) => {
    const body = await readBody(context, 'flavor', FlavorPost);
    const id = newId(context);
    try {
      await insertFlavor(api.db, { id, ...body });
    } catch (error) {
      if (isForeignKeyViolation(error)) throw missingReference('Flavor Profile', body.flavor_profile_id);
      throw nameConflict(error, body.name);
    }
    return answerOne(context, flavors, await findRow(api.db, flavors, id), 201);
  });

  routes.put('/:id', async (context) => {
    const { id } = await findRow(api.db, flavors, pathId(context, 'Flavor'));
    const body = await readBody(context, 'flavor', FlavorPut);
    try {
      await updateFlavor(api.db, id, body);
    } catch (error) {
      throw nameConflict(error, body.name);
    }
    return answerOne(context, flavors, await findRow(api.db, flavors, id));
  });

  routes.delete('/:id', async (context) => {
    const { id } = await findRow(api.db, flavors, pathId(context, 'Flavor'));
    try {
      await api.db.transaction().execute((transaction) => deleteFlavor(transaction, id));
    } catch (error) {
      if (isForeignKeyViolation(error)) throw conflict(`Flavor ${id} is in use by a Load Balancer.`);
      throw error;
    }
    return context.body(null, 204);
  });

  return routes;
}

function nameConflict(error: unknown, name: string | undefined): unknown {
  return isUniqueViolation(error) ? conflict(`A Flavor named ${name} already exists.`) : error;
}
