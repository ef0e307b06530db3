import * as z from 'zod';
import { type InterfaceRule, InterfaceRuleList } from '../../src/amphora-api/interface-rules.ts';
import type { ListenerRule } from '../../src/amphora-api/security-group.ts';
import { toCidr } from '../ip-address.ts';
import type { Admission, FirewallInterface } from './ruleset.ts';

/** What an Octavia controller has said so far: the last list for each address, in its canonical spelling. */
export const InterfaceRules = z.strictObject({
  /** How often rules were set. */
  revision: z.number().int().min(0),
  interface_rules: z.record(z.string(), InterfaceRuleList),
});
export type InterfaceRules = z.infer<typeof InterfaceRules>;

const EVERYONE = ['0.0.0.0/0', '::/0'];

/**
 * What these rules admit, given the interfaces. Rules of several addresses of the VIP's interface add up. Those of a
 * member's interface open nothing: no listener is there. Such a controller does not say who the members are.
 */
export function admissionOf(
  { revision, interface_rules }: InterfaceRules,
  interfaces: readonly FirewallInterface[],
): Admission {
  const fronts = interfaces.filter(({ roles }) => roles.includes('vip'));
  const addresses = new Set(fronts.flatMap(({ vips, addresses }) => [...vips, ...addresses]));
  const rules = Object.entries(interface_rules).flatMap(([address, list]) =>
    addresses.has(address) ? list : [],
  );
  return {
    revision,
    vips: fronts.flatMap(({ vips }) => vips),
    rules: rules.flatMap(listenerRule),
    vrrp_peers: rules.flatMap(({ protocol, cidr }) =>
      protocol === 'vrrp' ? (cidr === null ? EVERYONE : [cidr]) : [],
    ),
    members: 'unknown',
  };
}

function listenerRule({ protocol, port, cidr }: InterfaceRule): ListenerRule[] {
  return protocol === 'vrrp'
    ? []
    : [{ protocol, port, allowed_cidrs: cidr === null ? null : [toCidr(cidr)] }];
}
