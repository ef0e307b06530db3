import { TerminalError } from '../model/errors.ts';
import type { Token } from './session.ts';

/** Which of a service's endpoints we use. */
export interface Facing {
  interface: 'public' | 'internal' | 'admin';
  /** Where the catalog has several; empty: the first. */
  region: string;
}

/**
 * Where a service is, without a trailing slash.
 * @param types names that the catalog may have for it, the usual one first
 * @throws TerminalError `no_endpoint`
 */
export function endpointOf({ catalog }: Token, types: readonly string[], facing: Facing): string {
  const { region, interface: wanted } = facing;
  const url = catalog
    .filter(({ type }) => types.includes(type))
    .flatMap(({ endpoints }) => endpoints)
    .find((endpoint) => endpoint.interface === wanted && (!region || endpoint.region === region))?.url;
  if (url) return url.replace(/\/+$/, '');
  throw new TerminalError(
    'no_endpoint',
    `the catalog has no ${wanted} endpoint of type ${types[0]}${region ? ` in region ${region}` : ''}; check os_region_name and os_interface against: openstack endpoint list`,
  );
}
