import type { Config } from '../../config.ts';
import { ensureBridge, ensureUplink } from './bridges.ts';
import type { DirectPorts } from './direct-ports.ts';
import { findGuestLink } from './guest-links.ts';
import { ABSENT, type Ip, linkExists } from './ip.ts';
import { guestLinkName } from './names.ts';
import { namespaceOf } from './servers.ts';

/** How a stand-in says what it is, to whoever looks at the amphora's links. */
export const STAND_IN_ALIAS = 'amphorae stand-in for a VF';

/** macvlan interfaces in the place of VFs, on hosts without an SR-IOV NIC: as many as a NIC might have. */
export function standIns(ip: Ip, config: Pick<Config, 'netns_stand_in_vfs'>): DirectPorts {
  return {
    async functionsOf({ networkId }) {
      return Array.from({ length: config.netns_stand_in_vfs }, (_, index) => `${networkId}/${index}`);
    },

    async plug(server, port, signal) {
      if (await findGuestLink(ip, server, port.macAddress, signal)) return;
      const network = { id: port.networkId, bridge: port.bridge, mtu: port.mtu };
      await ensureBridge(ip, network, signal);
      const parent = await ensureUplink(ip, network, signal);
      const name = guestLinkName(port.id);
      const macvlan = ['address', port.macAddress, 'mtu', port.mtu, 'type', 'macvlan', 'mode', 'bridge'];
      await ip.batch(
        [
          ...(linkExists(name) ? [] : [['link', 'add', 'link', parent, 'name', name, ...macvlan]]),
          ['link', 'set', name, 'alias', STAND_IN_ALIAS],
          ['link', 'set', name, 'netns', namespaceOf(server)],
        ],
        { signal },
      );
    },

    async unplug(server, port, signal) {
      // On the host when who plugged it died between two steps.
      const name = guestLinkName(port.id);
      if (linkExists(name)) await ip.batch([['link', 'delete', name]], { tolerate: ABSENT, signal });
      const link = server && (await findGuestLink(ip, server, port.macAddress, signal));
      if (link) await ip.batch([['link', 'delete', link.name]], { ...link.place, tolerate: ABSENT, signal });
    },
  };
}
