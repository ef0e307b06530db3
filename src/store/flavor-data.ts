import { z } from 'zod';
import type { FlavorData } from '../model/graph.ts';
import { Topology } from '../model/status.ts';

/** What a flavor profile may say, with the descriptions that the API shows as capabilities (contract A16). */
export const FlavorDataSchema = z.strictObject({
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
export const availabilityZoneCapabilities = [
  { name: 'compute_zone', description: 'The compute availability zone.' },
  { name: 'management_network', description: 'The management network ID for the amphora.' },
  { name: 'valid_vip_networks', description: 'List of network IDs that are allowed for VIP use.' },
  { name: 'volume_zone', description: 'The volume availability zone.' },
];

export const flavorCapabilities = Object.entries(FlavorDataSchema.shape)
  .map(([name, schema]) => ({ name, description: schema.description ?? '' }))
  .sort((left, right) => left.name.localeCompare(right.name));

/** The text of a flavor profile is not JSON, or not what a flavor can say. */
export class FlavorDataError extends Error {
  readonly reason: 'not_json' | 'unsupported';

  constructor(reason: FlavorDataError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Parse `flavor_data`.
 * @throws FlavorDataError
 */
export function parseFlavorData(text: string): FlavorData {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw new FlavorDataError('not_json', 'flavor_data is not valid JSON.');
  }
  const parsed = FlavorDataSchema.safeParse(data);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue?.path.join('.');
  throw new FlavorDataError(
    'unsupported',
    `Flavor option ${name || 'flavor_data'} is not supported: ${issue?.message}.`,
  );
}
