import type { OctaviaResource } from './resource.ts';
import { amphorae } from './v2/amphorae.ts';
import { availabilityZoneProfiles } from './v2/availability-zone-profiles.ts';
import { availabilityZones } from './v2/availability-zones.ts';
import { flavorProfiles } from './v2/flavor-profiles.ts';
import { flavors } from './v2/flavors.ts';
import { healthMonitors } from './v2/health-monitors.ts';
import { l7Policies } from './v2/l7-policies.ts';
import { l7Rules } from './v2/l7-rules.ts';
import { listeners } from './v2/listeners.ts';
import { loadBalancers } from './v2/load-balancers.ts';
import { members } from './v2/members.ts';
import { pools } from './v2/pools.ts';
import { quotas } from './v2/quotas.ts';

/** What can be said of a kind of object without knowing its rows. */
export type ResourceDescription = Pick<
  OctaviaResource<never, never>,
  'title' | 'path' | 'policy' | 'root' | 'plural' | 'linksKey' | 'bodies' | 'attributes'
>;

/** Every kind of object of the API, with what describes it: paths, names, bodies, filters. */
export const resources: readonly ResourceDescription[] = [
  loadBalancers,
  listeners,
  pools,
  members,
  healthMonitors,
  l7Policies,
  l7Rules,
  quotas,
  flavors,
  flavorProfiles,
  availabilityZones,
  availabilityZoneProfiles,
  amphorae,
];
