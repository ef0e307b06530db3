import { AmphoraeError } from '../model/errors.ts';
import type { AvailabilityZoneData, FlavorData } from '../model/graph.ts';
import type { ProfileReferences } from '../providers/profiles.ts';
import { type Api, providerCall } from './api.ts';
import type { Fault } from './fault.ts';

export const referencesOfFlavor = (data: FlavorData): ProfileReferences => ({
  computeFlavor: data.compute_flavor,
  imageTag: data.amp_image_tag,
});

export const referencesOfZone = (data: AvailabilityZoneData): ProfileReferences => ({
  zone: data.compute_zone,
  managementNetwork: data.management_network,
});

/**
 * Ask the provider for what profiles refer to (contract F3).
 * @param refuse makes the fault of what it does not have
 */
export async function checkReferences(
  { profiles }: Pick<Api, 'profiles'>,
  references: ProfileReferences,
  refuse: (reason: string) => Fault,
): Promise<void> {
  try {
    await profiles?.check(references, providerCall());
  } catch (error) {
    throw error instanceof AmphoraeError && error.kind === 'placement' ? refuse(error.message) : error;
  }
}
