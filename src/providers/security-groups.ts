import type { IngressRule } from '../model/ingress-rule.ts';
import type { Call } from './call.ts';

/**
 * Packet filters that a provider has in front of `normal` ports, besides the firewall in the amphora. VFs have none:
 * there the amphora guards itself.
 */
export interface SecurityGroups {
  /** Make the group of that name, or find it, with these rules and no other for incoming traffic. Answers its id. */
  ensure(name: string, rules: IngressRule[], call: Call): Promise<string>;
  /** Names of all groups that Amphorae made here. */
  list(call: Call): Promise<string[]>;
  /** Remove every group of that name; success when there is none. */
  delete(name: string, call: Call): Promise<void>;
}
