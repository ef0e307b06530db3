import type { Hono } from 'hono';
import * as z from 'zod';
import {
  deleteFlavorProfile,
  type FlavorProfile,
  flavorProfileAttributes,
  insertFlavorProfile,
  selectFlavorProfiles,
  updateFlavorProfile,
} from '../../store/flavor-profiles.ts';
import { isProfileInUse } from '../../store/flavors.ts';
import { parseFlavorData } from '../../store/profile-data.ts';
import type { Api } from '../api.ts';
import { onPost, onPut } from '../attributes.ts';
import { referencesOfFlavor } from '../profile-references.ts';
import type { OctaviaResource } from '../resource.ts';
import { ProfileData, profileAttributes, profileRoutes } from './profiles.ts';

const mutable = { ...profileAttributes, flavor_data: ProfileData };

export const flavorProfiles = {
  title: 'Flavor Profile',
  path: '/lbaas/flavorprofiles',
  policy: 'flavor-profile',
  bodies: { post: z.strictObject(onPost(mutable)), put: z.strictObject(onPut(mutable)) },
  root: 'flavorprofile',
  plural: 'flavorprofiles',
  linksKey: 'flavorprofile_links',
  select: selectFlavorProfiles,
  attributes: flavorProfileAttributes,
  present: ({ id, name, provider_name, flavor_data }) => ({ id, name, provider_name, flavor_data }),
} satisfies OctaviaResource<'flavor_profiles', FlavorProfile>;

/** `/flavorprofiles` (contract A17). */
export function flavorProfileRoutes(api: Api): Hono {
  return profileRoutes<'flavor_profiles', FlavorProfile>(api, {
    resource: flavorProfiles,
    data: 'flavor_data',
    parse: (data) => referencesOfFlavor(parseFlavorData(data)),
    user: 'a Flavor',
    isInUse: isProfileInUse,
    insert: insertFlavorProfile,
    update: updateFlavorProfile,
    remove: deleteFlavorProfile,
  });
}
