import * as z from 'zod';
import type { Service } from '../../keystone/service.ts';
import { PlacementError } from '../../model/errors.ts';
import type { Call } from '../call.ts';
import { Recent } from './recent.ts';

const Images = z.object({ images: z.array(z.object({ id: z.string(), name: z.string().nullable() })) });
const REMEMBER_MS = 30_000;

/** Images of Glance (contract F4). */
export class OpenstackImages {
  readonly #glance: Service;
  readonly #owner: string | undefined;
  readonly #newest = new Recent<string>(REMEMBER_MS);

  /** @param owner only images of this project; default: of any */
  constructor(glance: Service, owner: string | undefined) {
    this.#glance = glance;
    this.#owner = owner;
  }

  /**
   * Id of the newest active image with this tag.
   * @throws PlacementError `no_image`
   */
  async newest(tag: string, call: Call): Promise<string> {
    const id = await this.#newest.get(tag, async () => {
      const owner = this.#owner;
      const query = { tag, status: 'active', ...(owner && { owner }), sort: 'created_at:desc', limit: '1' };
      const order = { method: 'GET', path: '/images', query, purpose: `list images tagged ${tag}` } as const;
      return (await this.#glance.send(call, order, Images)).images[0]?.id;
    });
    if (id) return id;
    throw new PlacementError(
      'no_image',
      `glance has no active image tagged ${tag}; upload one: openstack image set --tag ${tag} IMAGE`,
    );
  }
}
