import * as z from 'zod';
import { describeRefusal } from '../../keystone/refusal.ts';
import { type Service, segment } from '../../keystone/service.ts';
import { TransientError } from '../../model/errors.ts';
import type { IngressRule } from '../../model/ingress-rule.ts';
import type { Call } from '../call.ts';
import type { SecurityGroups } from '../security-groups.ts';

const Rule = z.object({
  id: z.string(),
  direction: z.string(),
  ethertype: z.string(),
  protocol: z.string().nullable(),
  port_range_min: z.number().nullable(),
  port_range_max: z.number().nullable(),
  remote_ip_prefix: z.string().nullable(),
  remote_group_id: z.string().nullable(),
});
const Group = z.object({ id: z.string(), security_group_rules: z.array(Rule) });
const OneGroup = z.object({ security_group: Group });
const Groups = z.object({ security_groups: z.array(Group) });
const Names = z.object({ security_groups: z.array(z.object({ name: z.string() })) });

/** Says of a group that it is ours; Neutron filters by equality only. */
const DESCRIPTION = 'Load balancer of Amphorae';
/** From the first port of an amphora to its firewall, with a plug of Nova in between. */
const REMEMBER_MS = 60_000;

interface Ensured {
  wanted: string;
  epoch: number | undefined;
  until: number;
  id: Promise<string>;
}

/** Security groups of Neutron, in the service project (contract F2). */
export class OpenstackSecurityGroups implements SecurityGroups {
  readonly #neutron: Service;
  /** What each group was brought to last: the amphorae of a load balancer ask for the same, and more than once. */
  readonly #last = new Map<string, Ensured>();

  constructor(neutron: Service) {
    this.#neutron = neutron;
  }

  ensure(name: string, rules: IngressRule[], call: Call): Promise<string> {
    const now = Date.now();
    for (const [old, { until }] of this.#last) if (until <= now) this.#last.delete(old);
    const before = this.#last.get(name);
    const wanted = rules.map(keyOf).sort().join('\n');
    if (before?.wanted === wanted && before.epoch !== undefined && before.epoch === call.epoch)
      return before.id;

    const work = () => this.#ensure(name, rules, call);
    const ensured = {
      wanted,
      epoch: call.epoch,
      until: now + REMEMBER_MS,
      id: before ? before.id.then(work, work) : work(),
    };
    this.#last.set(name, ensured);
    ensured.id.catch(() => {
      if (this.#last.get(name) === ensured) this.#last.delete(name);
    });
    return ensured.id;
  }

  async list(call: Call): Promise<string[]> {
    const query = { description: DESCRIPTION, fields: 'name' };
    const order = {
      method: 'GET',
      path: '/security-groups',
      query,
      purpose: 'list security groups',
    } as const;
    return (await this.#neutron.send(call, order, Names)).security_groups.map(({ name }) => name);
  }

  async delete(name: string, call: Call): Promise<void> {
    this.#last.delete(name);
    for (const { id } of await this.#named(name, call)) {
      const order = { method: 'DELETE', path: `/security-groups/${segment(id)}` } as const;
      const purpose = `delete security group ${name}`;
      await this.#neutron.find(call, { ...order, purpose }, z.unknown(), (refusal) =>
        refusal.type === 'SecurityGroupInUse'
          ? new TransientError('security_group_in_use', describeRefusal(refusal))
          : undefined,
      );
    }
  }

  async #ensure(name: string, wanted: IngressRule[], call: Call): Promise<string> {
    const group = (await this.#named(name, call))[0] ?? (await this.#create(name, call));
    const incoming = group.security_group_rules.filter(({ direction }) => direction === 'ingress');
    const missing = new Map(wanted.map((rule) => [keyOf(rule), rule]));
    const surplus = incoming.filter((rule) => !missing.delete(keyOfStored(rule)));
    // First what opens, then what closes: a changed rule leaves no moment without both.
    if (missing.size > 0) await this.#addRules(group.id, [...missing.values()], call);
    await Promise.all(surplus.map(({ id }) => this.#removeRule(id, call)));
    return group.id;
  }

  async #named(name: string, call: Call) {
    const order = { method: 'GET', path: '/security-groups', query: { name } } as const;
    const purpose = `list security groups named ${name}`;
    return (await this.#neutron.send(call, { ...order, purpose }, Groups)).security_groups;
  }

  async #create(name: string, call: Call) {
    const body = { security_group: { name, description: DESCRIPTION } };
    const order = { method: 'POST', path: '/security-groups', body } as const;
    const purpose = `create security group ${name}`;
    return (await this.#neutron.send(call, { ...order, purpose }, OneGroup)).security_group;
  }

  async #addRules(groupId: string, rules: IngressRule[], call: Call): Promise<void> {
    const body = {
      security_group_rules: rules.map((rule) => ({
        security_group_id: groupId,
        direction: 'ingress',
        ethertype: rule.ethertype,
        protocol: rule.protocol,
        ...(rule.port !== undefined && { port_range_min: rule.port, port_range_max: rule.port }),
        ...(rule.cidr && { remote_ip_prefix: rule.cidr }),
      })),
    };
    const order = { method: 'POST', path: '/security-group-rules', body } as const;
    const purpose = `add rules to security group ${groupId}`;
    await this.#neutron.send(call, { ...order, purpose }, z.unknown(), (refusal) =>
      refusal.type === 'SecurityGroupRuleExists'
        ? new TransientError(
            'security_group_changed',
            `${describeRefusal(refusal)}; somebody else changes it too`,
          )
        : undefined,
    );
  }

  async #removeRule(id: string, call: Call): Promise<void> {
    const order = { method: 'DELETE', path: `/security-group-rules/${segment(id)}` } as const;
    await this.#neutron.find(call, { ...order, purpose: `remove security group rule ${id}` }, z.unknown());
  }
}

const keyOf = ({ ethertype, protocol, port, cidr }: IngressRule) =>
  [ethertype, protocol, port ?? '', isEverywhere(cidr) ? '' : cidr].join(' ');

/** A rule that we would not make (of a range, of another group) has a key that nobody wants. */
function keyOfStored(rule: z.output<typeof Rule>): string {
  const { ethertype, protocol, port_range_min, port_range_max, remote_ip_prefix, remote_group_id } = rule;
  if (remote_group_id !== null || port_range_min !== port_range_max) return rule.id;
  const cidr = isEverywhere(remote_ip_prefix) ? '' : remote_ip_prefix;
  return [ethertype, protocol === 'vrrp' ? '112' : protocol, port_range_min ?? '', cidr].join(' ');
}

const isEverywhere = (cidr: string | null | undefined) =>
  cidr === null || cidr === undefined || cidr === '0.0.0.0/0' || cidr === '::/0';
