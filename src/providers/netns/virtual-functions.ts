import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PlacementError, TransientError } from '../../model/errors.ts';
import type { DirectPorts } from './direct-ports.ts';
import { findGuestLink } from './guest-links.ts';
import type { Ip } from './ip.ts';
import { guestLinkName } from './names.ts';
import { namespaceOf } from './servers.ts';

/** How long a driver may take to make a VF's interface; igbvf under emulation needs a second. */
const PROBE_DEADLINE_MS = 10_000;
const PROBE_POLL_MS = 20;

/**
 * Virtual functions of an SR-IOV NIC. MAC, VLAN and spoof check are set through the physical function, which an
 * amphora never gets; trust is never given.
 * @param sysfs where sysfs is mounted
 */
export function virtualFunctions(ip: Ip, sysfs = '/sys'): DirectPorts {
  const deviceOf = (physicalFunction: string) => `${sysfs}/class/net/${physicalFunction}/device`;
  const pci = `${sysfs}/bus/pci`;

  /** PCI addresses of the VFs; a VF's place is its number at the physical function. */
  async function functionsOf({ physicalFunction }: { physicalFunction: string | null }): Promise<string[]> {
    const device = deviceOf(physicalFunction ?? '');
    if (physicalFunction === null || !existsSync(device)) return [];
    const count = (await readdir(device)).filter((name) => /^virtfn\d+$/.test(name)).length;
    return Promise.all(
      Array.from({ length: count }, async (_, number) =>
        basename(await readlink(`${device}/virtfn${number}`)),
      ),
    );
  }

  /** Without its driver a VF has no interface, wherever that was. */
  async function unbind(address: string): Promise<void> {
    const driver = `${pci}/devices/${address}/driver`;
    if (existsSync(driver)) await writeFile(`${driver}/unbind`, address);
  }

  /** Let the kernel choose the driver, also where the host keeps VFs without one (for virtual machines). */
  async function bind(address: string, physicalFunction: string): Promise<void> {
    const autoprobe = `${deviceOf(physicalFunction)}/sriov_drivers_autoprobe`;
    const before = (await readFile(autoprobe, 'utf8')).trim();
    if (before === '0') await writeFile(autoprobe, '1');
    try {
      await writeFile(`${pci}/drivers_probe`, address);
    } finally {
      if (before === '0') await writeFile(autoprobe, '0');
    }
  }

  async function interfaceOf(address: string, signal: AbortSignal): Promise<string> {
    const directory = `${pci}/devices/${address}/net`;
    const deadline = Date.now() + PROBE_DEADLINE_MS;
    for (;;) {
      const [name] = existsSync(directory) ? await readdir(directory) : [];
      if (name !== undefined) return name;
      if (Date.now() > deadline) {
        throw new TransientError(
          'vf_has_no_driver',
          `no driver took VF ${address}; load the NIC's VF driver`,
        );
      }
      await delay(PROBE_POLL_MS, undefined, { signal });
    }
  }

  return {
    functionsOf,

    async plug(server, port, signal) {
      if (await findGuestLink(ip, server, port.macAddress, signal)) return;
      const { physicalFunction, vf } = port;
      const number = (await functionsOf(port)).indexOf(vf ?? '');
      if (physicalFunction === null || vf === null || number < 0) {
        throw new PlacementError(
          'no_vf_left',
          `VF ${vf} of ${physicalFunction} has gone; see sriov_numvfs of the NIC`,
        );
      }
      // The driver reads the MAC address when it takes the VF, and finds it only while the physical function is up.
      await unbind(vf);
      await ip.batch(
        [
          ['link', 'set', physicalFunction, 'up'],
          ['link', 'set', physicalFunction, 'vf', number, 'mac', port.macAddress],
          ['link', 'set', physicalFunction, 'vf', number, 'vlan', port.vlan ?? 0],
          ['link', 'set', physicalFunction, 'vf', number, 'spoofchk', 'on'],
        ],
        { signal },
      );
      await bind(vf, physicalFunction);
      const name = await interfaceOf(vf, signal);
      const address = (await readFile(`${pci}/devices/${vf}/net/${name}/address`, 'utf8')).trim();
      if (address !== port.macAddress) {
        // A physical function that has just come up may still be resetting; drivers then invent an address.
        throw new TransientError(
          'vf_not_ready',
          `VF ${vf} took MAC address ${address} instead of ${port.macAddress}`,
        );
      }
      await ip.batch([['link', 'set', name, 'netns', namespaceOf(server), 'name', guestLinkName(port.id)]], {
        signal,
      });
    },

    async unplug(_server, port) {
      if (port.vf === null || !existsSync(`${pci}/devices/${port.vf}`)) return;
      await unbind(port.vf);
      // Back to what the host does with a VF that nobody uses: its driver, or none.
      await writeFile(`${pci}/drivers_probe`, port.vf);
    },
  };
}
