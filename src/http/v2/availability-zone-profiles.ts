import type { Hono } from 'hono';
import * as z from 'zod';
import {
  type AvailabilityZoneProfile,
  availabilityZoneProfileAttributes,
  deleteAvailabilityZoneProfile,
  insertAvailabilityZoneProfile,
  selectAvailabilityZoneProfiles,
  updateAvailabilityZoneProfile,
} from '../../store/availability-zone-profiles.ts';
import { isZoneProfileInUse } from '../../store/availability-zones.ts';
import { parseAvailabilityZoneData } from '../../store/profile-data.ts';
import type { Api } from '../api.ts';
import { onPost, onPut } from '../attributes.ts';
import { referencesOfZone } from '../profile-references.ts';
import type { OctaviaResource } from '../resource.ts';
import { ProfileData, profileAttributes, profileRoutes } from './profiles.ts';

const mutable = { ...profileAttributes, availability_zone_data: ProfileData };

export const availabilityZoneProfiles = {
  title: 'Availability Zone Profile',
  path: '/lbaas/availabilityzoneprofiles',
  policy: 'availability-zone-profile',
  bodies: { post: z.strictObject(onPost(mutable)), put: z.strictObject(onPut(mutable)) },
  root: 'availability_zone_profile',
  plural: 'availability_zone_profiles',
  linksKey: 'availability_zone_profile_links',
  select: selectAvailabilityZoneProfiles,
  attributes: availabilityZoneProfileAttributes,
  present: ({ id, name, provider_name, availability_zone_data }) => ({
    id,
    name,
    provider_name,
    availability_zone_data,
  }),
} satisfies OctaviaResource<'availability_zone_profiles', AvailabilityZoneProfile>;

/** `/availabilityzoneprofiles` (contract A17). */
export function availabilityZoneProfileRoutes(api: Api): Hono {
  return profileRoutes<'availability_zone_profiles', AvailabilityZoneProfile>(api, {
    resource: availabilityZoneProfiles,
    data: 'availability_zone_data',
    parse: (data) => referencesOfZone(parseAvailabilityZoneData(data)),
    user: 'an Availability Zone',
    isInUse: isZoneProfileInUse,
    insert: insertAvailabilityZoneProfile,
    update: updateAvailabilityZoneProfile,
    remove: deleteAvailabilityZoneProfile,
  });
}
