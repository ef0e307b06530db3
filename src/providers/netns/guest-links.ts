import * as z from 'zod';
import { DATA_PLANE_NAMESPACE } from '../../amphora-api/headers.ts';
import { ABSENT, type Ip } from './ip.ts';
import { initOf } from './processes.ts';
import { type NetnsServer, namespaceOf } from './servers.ts';

/** An interface inside an amphora, and how `ip` gets to it. */
export interface GuestLink {
  name: string;
  place: { namespace: string; mountOf?: number };
}

const Links = z.array(z.object({ ifname: z.string(), address: z.string().optional() }));

/**
 * Find an interface of an amphora by its MAC address: where the host put it, or where the agent moved it, which is a
 * namespace that has a name in the amphora's own mount namespace only. The host sees neither in its own /sys.
 */
export async function findGuestLink(
  ip: Ip,
  server: NetnsServer,
  macAddress: string,
  signal: AbortSignal,
): Promise<GuestLink | undefined> {
  const namespace = namespaceOf(server);
  const init = initOf(namespace);
  const places: GuestLink['place'][] = [{ namespace }];
  if (init !== undefined) places.push({ namespace: DATA_PLANE_NAMESPACE, mountOf: init });
  const found = await Promise.all(
    places.map(async (place) => {
      const links = Links.parse(await ip.query(['link', 'show'], { ...place, tolerate: ABSENT, signal }));
      const link = links.find(({ address }) => address === macAddress);
      return link && { name: link.ifname, place };
    }),
  );
  return found.find((link) => link !== undefined);
}
