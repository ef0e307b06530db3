import * as z from 'zod';
import { run } from '../command.ts';
import {
  BITS,
  type Family,
  formatAddress,
  formatNetwork,
  parseAddress,
  parseNetwork,
} from '../ip-address.ts';
import type { Namespace } from '../namespace.ts';
import type { InterfacePlan, PlannedAddress, PlannedRoute, PlannedRule } from './plan.ts';

/** An interface that the data-plane namespace has. */
export interface KernelInterface {
  name: string;
  mac: string;
  addresses: { address: string; prefix: number; family: Family }[];
}

const Link = z.object({ ifname: z.string(), address: z.string().optional() });
const LinkWithAddresses = Link.extend({
  addr_info: z.array(z.object({ local: z.string(), prefixlen: z.number(), scope: z.string() })).default([]),
});
const Route = z.object({
  dst: z.string(),
  gateway: z.string().optional(),
  prefsrc: z.string().optional(),
  table: z.coerce.number().catch(254).default(254),
});
const Rule = z.object({
  priority: z.number(),
  src: z.string(),
  srclen: z.number().optional(),
  table: z.string(),
});

const FAMILIES = [4, 6] as const;
const RULE_PRIORITY = 100;

/** The kernel's interfaces, asked and told through iproute2. */
export class KernelInterfaces {
  readonly #namespace: Namespace;
  readonly #ip: string;

  constructor(namespace: Namespace, ipPath: string) {
    this.#namespace = namespace;
    this.#ip = ipPath;
  }

  /** What is in the data-plane namespace; addresses of global scope only. */
  async list(): Promise<KernelInterface[]> {
    const links = z.array(LinkWithAddresses).parse(await this.#namespace.query(['address', 'show']));
    return links.map(({ ifname, address = '', addr_info }) => ({
      name: ifname,
      mac: address,
      addresses: addr_info
        .filter(({ scope }) => scope === 'global')
        .map(({ local, prefixlen }) => {
          const parsed = parseAddress(local);
          return { address: formatAddress(parsed), prefix: prefixlen, family: parsed.family };
        }),
    }));
  }

  /** Name, in the amphora's default namespace, of the link with this MAC. */
  async findOutside(mac: string): Promise<string | undefined> {
    const links = z.array(Link).parse(JSON.parse((await run(this.#ip, ['-j', 'link', 'show'])) || '[]'));
    return links.find(({ address }) => address === mac)?.ifname;
  }

  /** Move a link from the default namespace into the data plane, under its new name; it arrives down. */
  async moveInside(outsideName: string, name: string): Promise<void> {
    await run(this.#ip, ['link', 'set', 'dev', outsideName, 'netns', this.#namespace.name, 'name', name]);
  }

  /**
   * Make the interface what the plan says, and bring it up. What is right already is not touched; what is ours
   * and no longer wanted goes last, so that traffic which stays is never without address or route.
   * @param group which the firewall asks for
   * @param fresh the interface was just moved here: there is nothing old to look for
   * @param keep addresses that somebody else (keepalived) manages
   */
  async apply(
    name: string,
    plan: InterfacePlan,
    options: { mtu?: number | null | undefined; group: number; fresh: boolean; keep: readonly string[] },
  ): Promise<void> {
    await this.#namespace.ip([
      `link set dev ${name} group ${options.group}`,
      ...(options.mtu ? [`link set dev ${name} mtu ${options.mtu}`] : []),
      // Announced when the link comes up, hence before it.
      ...plan.addresses.map((address) => addAddress(name, address)),
      `link set dev ${name} up`,
      ...plan.routes.map((route) => `route replace ${describeRoute(name, route)}`),
    ]);
    await this.#addMissingRules(plan.rules);
    if (!options.fresh) await this.#namespace.ip(await this.#leftovers(name, plan, options.keep));
  }

  /**
   * Send gratuitous ARP and unsolicited neighbour advertisements for every address of the interface. Linux does so when a
   * MAC is set (with arp_notify and ndisc_notify), also when it is the one that the interface has: nothing changes.
   */
  async announce(name: string, mac: string): Promise<void> {
    await this.#namespace.ip([`link set dev ${name} address ${mac}`]);
  }

  async #addMissingRules(rules: readonly PlannedRule[]): Promise<void> {
    for (const family of FAMILIES) {
      const wanted = rules.filter((rule) => rule.family === family);
      if (wanted.length === 0) continue;
      const present = new Set<string>();
      for (const entry of z
        .array(z.unknown())
        .parse(await this.#namespace.query([`-${family}`, 'rule', 'show']))) {
        const rule = Rule.safeParse(entry);
        if (!rule.success || rule.data.priority !== RULE_PRIORITY) continue;
        present.add(`${formatAddress(parseAddress(rule.data.src))} ${rule.data.table}`);
      }
      const missing = wanted.filter(({ source, table }) => !present.has(`${source} ${table}`));
      await this.#namespace.ip(
        missing.map(
          ({ source, table }) => `rule add from ${source} table ${table} priority ${RULE_PRIORITY}`,
        ),
        family,
      );
    }
  }

  async #leftovers(name: string, plan: InterfacePlan, keep: readonly string[]): Promise<string[]> {
    const wantedAddresses = new Set([...plan.addresses.map(({ address }) => address), ...keep]);
    const wantedRoutes = new Set(plan.routes.map(routeKey));
    const own = (await this.list()).find((link) => link.name === name);
    const routes = await Promise.all(
      FAMILIES.map(async (family) => {
        const query = [`-${family}`, 'route', 'show', 'table', 'all', 'dev', name, 'proto', 'static'];
        return z
          .array(Route)
          .parse(await this.#namespace.query(query))
          .map((route) => toPlannedRoute(route, family));
      }),
    );
    return [
      ...routes
        .flat()
        .filter((route) => !wantedRoutes.has(routeKey(route)))
        .map((route) => `route delete ${describeRoute(name, route)}`),
      ...(own?.addresses ?? [])
        .filter(({ address }) => !wantedAddresses.has(address))
        .map(({ address, prefix }) => `address delete ${address}/${prefix} dev ${name}`),
    ];
  }
}

function addAddress(name: string, { address, prefix, family, virtual }: PlannedAddress): string {
  // Neutron gave us the address for ourselves, and duplicate detection would hold up IPv6 for seconds.
  // A deprecated address is still served, but never chosen as the source of a connection to a member.
  const ipv6 = family === 6 ? ` nodad${virtual ? ' preferred_lft 0 valid_lft forever' : ''}` : '';
  return `address replace ${address}/${prefix} dev ${name}${ipv6}`;
}

function describeRoute(name: string, { destination, gateway, source, table }: PlannedRoute): string {
  const via = gateway ? ` via ${gateway} onlink` : '';
  return `${destination}${via} dev ${name}${source ? ` src ${source}` : ''} proto static table ${table}`;
}

function routeKey({ destination, gateway, table }: PlannedRoute): string {
  return `${destination} ${gateway} ${table}`;
}

function toPlannedRoute({ dst, gateway, table }: z.output<typeof Route>, family: Family): PlannedRoute {
  const cidr = dst === 'default' ? (family === 4 ? '0.0.0.0/0' : '::/0') : dst;
  const destination = formatNetwork(parseNetwork(cidr.includes('/') ? cidr : `${cidr}/${BITS[family]}`));
  return { destination, table, ...(gateway && { gateway: formatAddress(parseAddress(gateway)) }) };
}
