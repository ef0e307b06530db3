import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { z } from 'zod';
import { isForeignKeyViolation } from '../../store/database-errors.ts';
import { FlavorDataError, parseFlavorData } from '../../store/flavor-data.ts';
import {
  deleteFlavorProfile,
  type FlavorProfile,
  flavorProfileAttributes,
  insertFlavorProfile,
  selectFlavorProfiles,
  updateFlavorProfile,
} from '../../store/flavor-profiles.ts';
import { isProfileInUse } from '../../store/flavors.ts';
import type { Api } from '../api.ts';
import { mandatory, Name, onPost, onPut, text } from '../attributes.ts';
import { readBody } from '../body.ts';
import { conflict, invalidInput } from '../fault.ts';
import { answerList, answerOne, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';

const mutable = {
  name: mandatory(Name.min(1)),
  provider_name: mandatory(Name),
  flavor_data: mandatory(text(4096)),
};
const FlavorProfilePost = z.strictObject(onPost(mutable));
const FlavorProfilePut = z.strictObject(onPut(mutable));

export const flavorProfiles: OctaviaResource<'flavor_profiles', FlavorProfile> = {
  title: 'Flavor Profile',
  path: '/lbaas/flavorprofiles',
  policy: 'flavor-profile',
  bodies: { post: FlavorProfilePost, put: FlavorProfilePut },
  root: 'flavorprofile',
  plural: 'flavorprofiles',
  linksKey: 'flavorprofile_links',
  select: selectFlavorProfiles,
  attributes: flavorProfileAttributes,
  present: ({ id, name, provider_name, flavor_data }) => ({ id, name, provider_name, flavor_data }),
};

/** `/flavorprofiles` (contract A17). `flavor_data` is kept byte for byte. */
export function flavorProfileRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', (context) => answerList(context, api.db, flavorProfiles));
  routes.get('/:id', (context) => answerShow(context, api.db, flavorProfiles));

  routes.post('/', async (context) => {
    const body = await readBody(context, 'flavorprofile', FlavorProfilePost);
    checkProfile(api, body);
    const id = randomUUID();
    await insertFlavorProfile(api.db, { id, ...body });
    return answerOne(context, flavorProfiles, await findRow(api.db, flavorProfiles, id), 201);
  });

  routes.put('/:id', async (context) => {
    const stored = await findRow(api.db, flavorProfiles, pathId(context, 'Flavor Profile'));
    const body = await readBody(context, 'flavorprofile', FlavorProfilePut);
    checkProfile(api, { ...stored, ...body });
    const meaning = (body.provider_name ?? body.flavor_data) !== undefined;
    if (meaning && (await isProfileInUse(api.db, stored.id))) throw inUse(stored.id);
    await updateFlavorProfile(api.db, stored.id, body);
    return answerOne(context, flavorProfiles, await findRow(api.db, flavorProfiles, stored.id));
  });

  routes.delete('/:id', async (context) => {
    const { id } = await findRow(api.db, flavorProfiles, pathId(context, 'Flavor Profile'));
    try {
      await deleteFlavorProfile(api.db, id);
    } catch (error) {
      throw isForeignKeyViolation(error) ? inUse(id) : error;
    }
    return context.body(null, 204);
  });

  return routes;
}

const inUse = (id: string) =>
  conflict(`Flavor Profile ${id} is in use by a Flavor and cannot be changed or deleted.`);

function checkProfile({ config }: Api, profile: { provider_name: string; flavor_data: string }): void {
  if (!config.enabled_providers.includes(profile.provider_name)) {
    const names = config.enabled_providers.join(', ');
    throw invalidInput('provider_name', profile.provider_name, `Value should be one of: ${names}`);
  }
  try {
    parseFlavorData(profile.flavor_data);
  } catch (error) {
    if (!(error instanceof FlavorDataError) || error.reason !== 'not_json') throw error;
    throw invalidInput('flavor_data', profile.flavor_data, error.message);
  }
}
