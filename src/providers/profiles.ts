import type { Call } from './call.ts';

/** What profiles of flavors and availability zones refer to; what is absent is not referred to. */
export interface ProfileReferences {
  computeFlavor?: string | undefined;
  imageTag?: string | undefined;
  zone?: string | undefined;
  managementNetwork?: string | undefined;
}

export interface Profiles {
  /** @throws PlacementError that names what the provider does not have */
  check(references: ProfileReferences, call: Call): Promise<void>;
}
