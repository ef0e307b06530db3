import { join } from 'node:path';
import type { Logger } from 'pino';
import * as z from 'zod';
import type { PlugNetwork, PlugVip } from '../../src/amphora-api/plug.ts';
import { AgentError } from '../errors.ts';
import { readOptional, writeAtomically } from '../files.ts';
import { formatAddress, parseAddress } from '../ip-address.ts';
import { type FirewallInterface, groupOf } from '../nftables/ruleset.ts';
import { Serial } from '../serial.ts';
import type { AgentSettings } from '../settings.ts';
import { Announcer } from './announcer.ts';
import type { KernelInterfaces } from './kernel.ts';
import { planInterface } from './plan.ts';
import { freeName, InterfaceRecord, VIP_INTERFACE } from './record.ts';
import { validateInterface } from './validate.ts';

interface InterfacesParts {
  kernel: KernelInterfaces;
  settings: Pick<AgentSettings, 'state_dir' | 'topology' | 'firewall'>;
  log: Logger;
  /** Awaited before an interface of the new list comes up. */
  onChange(interfaces: FirewallInterface[]): Promise<void>;
}

/**
 * The plugged interfaces: a stored list of what the controller asked for, and the kernel made to match. A call
 * that was cut short is completed by its repetition or by the next start. One change at a time.
 */
export class Interfaces {
  readonly #parts: InterfacesParts;
  readonly #path: string;
  readonly #serial = new Serial();
  #records: InterfaceRecord[] = [];
  /** MACs of the interfaces that are known to be as their record says. */
  readonly #configured = new Set<string>();
  readonly #announcer: Announcer;

  private constructor(parts: InterfacesParts) {
    this.#parts = parts;
    this.#announcer = new Announcer((name, mac) => parts.kernel.announce(name, mac), parts.log);
    this.#path = join(parts.settings.state_dir, 'plugged-interfaces.json');
  }

  static async load(parts: InterfacesParts): Promise<Interfaces> {
    const interfaces = new Interfaces(parts);
    try {
      const text = await readOptional(interfaces.#path);
      if (text !== undefined) interfaces.#records = z.array(InterfaceRecord).parse(JSON.parse(text));
    } catch (error) {
      parts.log.error(
        { err: error, path: interfaces.#path },
        'the stored interfaces are unreadable: plug them again',
      );
    }
    return interfaces;
  }

  /** The interfaces as the firewall wants to know them. */
  forFirewall(): FirewallInterface[] {
    return this.#records.map((record) => this.#forFirewall(record));
  }

  /** Configure again all stored interfaces that exist. Run once, after the firewall is loaded. */
  restore(): Promise<void> {
    return this.#serial.run(async () => {
      for (const record of this.#records) {
        try {
          const outside = await this.#findOutside(record.mac_address);
          await this.#moveInside(record, outside);
          await this.#configure(record, outside);
        } catch (error) {
          this.#parts.log.warn({ err: error, interface: record.name }, 'could not restore an interface');
        }
      }
    });
  }

  /** @throws AgentError 400, 404 when no link has the MAC yet, 409 when it is plugged already */
  plugVip(vip: string, body: PlugVip): Promise<void> {
    return this.#serial.run(async () => {
      await this.#forgetVanished();
      const taken = this.#records.find(({ name }) => name === VIP_INTERFACE);
      if (taken?.mac_address === body.mac_address && this.#configured.has(body.mac_address)) {
        throw new AgentError(409, `The VIP is already plugged as ${VIP_INTERFACE}`);
      }
      if (taken && taken.mac_address !== body.mac_address) {
        throw new AgentError(400, 'Invalid request', {
          details: `mac_address: ${VIP_INTERFACE} is ${taken.mac_address}; unplug it before another one`,
        });
      }
      const { mac_address, mtu } = body;
      const is_sriov = body.is_sriov ?? false;
      const fixed_ips = taken?.fixed_ips ?? [];
      await this.#plug({ name: VIP_INTERFACE, mac_address, mtu, is_sriov, vip: { ...body, vip }, fixed_ips });
    });
  }

  /** @throws AgentError 400, 404 when no link has the MAC yet */
  plugNetwork(body: PlugNetwork): Promise<void> {
    return this.#serial.run(async () => {
      await this.#forgetVanished();
      const { mac_address, mtu, fixed_ips, vip_net_info } = body;
      const known = this.#records.find((record) => record.mac_address === mac_address);
      // Octavia repeats the VIP when it plugs a member's network there, but not the additional VIPs.
      const vip = vip_net_info
        ? { ...vip_net_info, additional_vips: vip_net_info.additional_vips ?? known?.vip?.additional_vips }
        : known?.vip;
      const is_sriov = body.is_sriov ?? vip?.is_sriov ?? false;
      const name = vip
        ? VIP_INTERFACE
        : (known?.name ?? freeName(this.#records.map((record) => record.name)));
      await this.#plug({ name, mac_address, mtu, is_sriov, ...(vip && { vip }), fixed_ips: fixed_ips ?? [] });
    });
  }

  /** Drop the records of links that the host has taken away, and their place in the firewall. */
  forgetVanished(): Promise<void> {
    return this.#serial.run(() => this.#forgetVanished());
  }

  /** Tell the neighbours once more whose the addresses of new interfaces are (contract D2). */
  announce(): Promise<void> {
    return this.#announcer.repeat();
  }

  /** Name of the interface that has the address, in whatever spelling; undefined when none has. */
  async nameOf(ip: string): Promise<string | undefined> {
    const address = formatAddress(parseAddress(ip));
    const links = await this.#parts.kernel.list();
    return links.find(({ addresses }) => addresses.some((entry) => entry.address === address))?.name;
  }

  /** Whether this amphora has all its VIPs now; in ACTIVE_STANDBY keepalived decides about that. */
  async holdVips(): Promise<boolean> {
    const own = (await this.#parts.kernel.list()).find(({ name }) => name === VIP_INTERFACE);
    const vips = this.#records.flatMap(vipAddresses);
    return vips.length > 0 && vips.every((vip) => own?.addresses.some(({ address }) => address === vip));
  }

  #forFirewall(record: InterfaceRecord): FirewallInterface {
    return {
      name: record.name,
      filtered: this.#parts.settings.firewall === 'always' || record.is_sriov,
      roles: record.vip ? ['vip', 'member'] : ['member'],
      addresses: [record.vip?.vrrp_ip, ...record.fixed_ips.map(({ ip_address }) => ip_address)]
        .filter((address) => typeof address === 'string')
        .map((address) => formatAddress(parseAddress(address))),
      vips: vipAddresses(record),
    };
  }

  async #plug(record: InterfaceRecord): Promise<void> {
    validateInterface(record);
    const outside = await this.#findOutside(record.mac_address);
    const others = this.#records.filter(({ mac_address }) => mac_address !== record.mac_address);
    await Promise.all([this.#store([...others, record]), this.#moveInside(record, outside)]);
    await this.#configure(record, outside);
  }

  /** Name of the link while it is still in the default namespace; undefined when it was moved already. */
  async #findOutside(mac: string): Promise<string | undefined> {
    if (this.#configured.has(mac)) return undefined;
    const { kernel } = this.#parts;
    const outside = await kernel.findOutside(mac);
    if (outside || (await kernel.list()).some((link) => link.mac === mac)) return outside;
    throw new AgentError(404, `No link with MAC ${mac}`, { details: 'No suitable network interface found' });
  }

  async #moveInside(record: InterfaceRecord, outside: string | undefined): Promise<void> {
    if (outside) await this.#parts.kernel.moveInside(outside, record.name);
  }

  /** @param outside what the link was called before it was moved; undefined when it was here already */
  async #configure(record: InterfaceRecord, outside: string | undefined): Promise<void> {
    const { kernel, settings } = this.#parts;
    const keepalived = settings.topology === 'ACTIVE_STANDBY' ? vipAddresses(record) : [];
    await kernel.apply(record.name, planInterface(record, settings.topology), {
      mtu: record.mtu,
      group: groupOf(this.#forFirewall(record)),
      fresh: outside !== undefined,
      keep: keepalived,
    });
    this.#configured.add(record.mac_address);
    if (outside) this.#announcer.plugged(record.name, record.mac_address);
  }

  async #forgetVanished(): Promise<void> {
    if (this.#records.length === 0) return;
    const present = new Set((await this.#parts.kernel.list()).map(({ mac }) => mac));
    const vanished = this.#records.filter(({ mac_address }) => !present.has(mac_address));
    if (vanished.length === 0) return;
    this.#parts.log.info({ interfaces: vanished.map(({ name }) => name) }, 'interfaces have vanished');
    for (const { mac_address } of vanished) this.#configured.delete(mac_address);
    await this.#store(this.#records.filter((record) => !vanished.includes(record)));
  }

  async #store(records: InterfaceRecord[]): Promise<void> {
    await writeAtomically(this.#path, JSON.stringify(records));
    this.#records = records;
    await this.#parts.onChange(this.forFirewall());
  }
}

function vipAddresses({ vip }: InterfaceRecord): string[] {
  if (!vip) return [];
  const all = [vip.vip, ...(vip.additional_vips ?? []).map(({ ip_address }) => ip_address)];
  return all.map((address) => formatAddress(parseAddress(address)));
}
