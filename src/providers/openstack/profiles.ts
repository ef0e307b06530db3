import * as z from 'zod';
import { type Service, segment } from '../../keystone/service.ts';
import { PlacementError } from '../../model/errors.ts';
import type { Call } from '../call.ts';
import type { Network } from '../network.ts';
import type { ProfileReferences, Profiles } from '../profiles.ts';
import type { OpenstackImages } from './glance.ts';
import { Recent } from './recent.ts';

const Flavor = z.object({ flavor: z.object({ id: z.string() }) });
const Zones = z.object({
  availabilityZoneInfo: z.array(z.object({ zoneName: z.string() })),
});
/** Every load balancer with a flavor asks again. */
const REMEMBER_MS = 30_000;

/** Whether Nova, Glance and Neutron have what profiles refer to (contract F3). */
export class OpenstackProfiles implements Profiles {
  readonly #nova: Service;
  readonly #images: OpenstackImages;
  readonly #network: Network;
  readonly #flavors = new Recent<string>(REMEMBER_MS);
  readonly #zones = new Recent<Set<string>>(REMEMBER_MS);

  constructor(parts: { nova: Service; images: OpenstackImages; network: Network }) {
    this.#nova = parts.nova;
    this.#images = parts.images;
    this.#network = parts.network;
  }

  async check(references: ProfileReferences, call: Call): Promise<void> {
    const { computeFlavor, imageTag, zone, managementNetwork } = references;
    await Promise.all([
      computeFlavor !== undefined && this.#checkFlavor(computeFlavor, call),
      imageTag !== undefined && this.#images.newest(imageTag, call),
      zone !== undefined && this.#checkZone(zone, call),
      managementNetwork !== undefined && this.#checkNetwork(managementNetwork, call),
    ]);
  }

  async #checkFlavor(id: string, call: Call): Promise<void> {
    const order = { method: 'GET', path: `/flavors/${segment(id)}`, purpose: `read flavor ${id}` } as const;
    const found = await this.#flavors.get(
      id,
      async () => (await this.#nova.find(call, order, Flavor))?.flavor.id,
    );
    if (!found) throw new PlacementError('no_compute_flavor', `nova has no compute flavor of id ${id}`);
  }

  async #checkZone(name: string, call: Call): Promise<void> {
    const order = {
      method: 'GET',
      path: '/os-availability-zone',
      purpose: 'list availability zones',
    } as const;
    const zones = await this.#zones.get('all', async () => {
      const { availabilityZoneInfo } = await this.#nova.send(call, order, Zones);
      return new Set(availabilityZoneInfo.map(({ zoneName }) => zoneName));
    });
    if (!zones?.has(name)) throw new PlacementError('no_zone', `nova has no availability zone ${name}`);
  }

  async #checkNetwork(id: string, call: Call): Promise<void> {
    if (await this.#network.getNetwork(id, call)) return;
    throw new PlacementError('no_management_network', `neutron has no network of id ${id}`);
  }
}
