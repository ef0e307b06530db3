import * as z from 'zod';
import type { AvailabilityZoneData, FlavorData } from '../model/graph.ts';
import { Topology } from '../model/status.ts';

/** What a flavor profile may say, with the descriptions that the API shows as capabilities (contract A16). */
const FlavorDataSchema = z.strictObject({
  loadbalancer_topology: Topology.optional().describe(
    'The load balancer topology. One of: SINGLE - One amphora per load balancer. ACTIVE_STANDBY - Two amphora per load balancer.',
  ),
  compute_flavor: z.string().optional().describe('The compute driver flavor ID.'),
  amp_image_tag: z.string().optional().describe('The amphora image tag.'),
  sriov_vip: z
    .boolean()
    .optional()
    .describe('When true, the VIP port will be created using an SR-IOV VF port.'),
  allow_member_sriov: z
    .boolean()
    .optional()
    .describe('When true, users can request member ports be SR-IOV VF ports.'),
}) satisfies z.ZodType<FlavorData>;

/** What an availability zone profile may say. */
const AvailabilityZoneDataSchema = z.strictObject({
  compute_zone: z.string().optional().describe('The compute availability zone.'),
  management_network: z.guid().optional().describe('The management network ID for the amphora.'),
  valid_vip_networks: z
    .array(z.guid())
    .optional()
    .describe('List of network IDs that are allowed for VIP use.'),
  volume_zone: z.string().optional().describe('The volume availability zone.'),
}) satisfies z.ZodType<AvailabilityZoneData>;

export const flavorCapabilities = capabilitiesOf(FlavorDataSchema);
export const availabilityZoneCapabilities = capabilitiesOf(AvailabilityZoneDataSchema);

function capabilitiesOf({ shape }: z.ZodObject): { name: string; description: string }[] {
  return Object.entries(shape)
    .map(([name, schema]) => ({ name, description: (schema as z.ZodType).description ?? '' }))
    .sort((left, right) => left.name.localeCompare(right.name));
}

/** The text of a profile is not JSON, or not what such a profile can say. */
export class ProfileDataError extends Error {
  readonly reason: 'not_json' | 'unsupported';

  constructor(reason: ProfileDataError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Parse `flavor_data`.
 * @throws ProfileDataError
 */
export function parseFlavorData(text: string): FlavorData {
  return parse(FlavorDataSchema, text, { attribute: 'flavor_data', option: 'Flavor option' });
}

/**
 * Parse `availability_zone_data`.
 * @throws ProfileDataError
 */
export function parseAvailabilityZoneData(text: string): AvailabilityZoneData {
  const names = { attribute: 'availability_zone_data', option: 'Availability zone option' };
  return parse(AvailabilityZoneDataSchema, text, names);
}

function parse<T extends z.ZodObject>(
  schema: T,
  text: string,
  { attribute, option }: { attribute: string; option: string },
): z.output<T> {
  let data: unknown;
  try {
    // An option that is null is one that is not given.
    data = JSON.parse(text, (_, value) => value ?? undefined);
  } catch {
    throw new ProfileDataError('not_json', `${attribute} is not valid JSON.`);
  }
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue?.path.join('.');
  throw new ProfileDataError(
    'unsupported',
    `${option} ${name || attribute} is not supported: ${issue?.message}.`,
  );
}
