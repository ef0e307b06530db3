import type { NetworkView, PortOption } from '../providers/network.ts';
import type { Queryable } from '../store/database.ts';
import { hasAllowedCidrs } from '../store/listeners.ts';
import { providerCall } from './api.ts';
import { invalidInput, missingReference } from './fault.ts';

/** What users may have put on the ports of a VIP, besides its addresses. */
interface VipOptions {
  vip_qos_policy_id?: string | null;
  vip_sg_ids?: string[];
}

/**
 * Whatever is named has to exist (contract A7).
 * @param network as the caller sees it
 * @throws Fault 400
 */
export async function checkVipOptions(
  network: NetworkView,
  { vip_qos_policy_id: policy, vip_sg_ids: groups = [] }: VipOptions,
): Promise<void> {
  const check = async (attribute: keyof VipOptions, option: PortOption, id: string) => {
    if (!network.hasPortOption)
      throw invalidInput(attribute, id, `The network provider has no ${option} to put on a port.`);
    if (!(await network.hasPortOption(option, id, providerCall()))) throw missingReference(option, id);
  };
  if (policy) await check('vip_qos_policy_id', 'QoS Policy', policy);
  await Promise.all(groups.map((id) => check('vip_sg_ids', 'Security Group', id)));
}

/**
 * Nothing enforces a group on a VF.
 * @throws Fault 400
 */
export function checkGroupsFitVip({ vip_sg_ids: groups = [] }: VipOptions, vnicType: string): void {
  if (groups.length > 0 && vnicType === 'direct')
    throw invalidInput('vip_sg_ids', groups, 'The VIP is on a VF, where security groups have no effect.');
}

/**
 * Either the groups say who reaches the listeners, or the listeners do.
 * @throws Fault 400
 */
export async function checkGroupsFitListeners(
  transaction: Queryable,
  { vip_sg_ids: groups = [] }: VipOptions,
  loadBalancerId: string,
): Promise<void> {
  if (groups.length > 0 && (await hasAllowedCidrs(transaction, loadBalancerId)))
    throw invalidInput('vip_sg_ids', groups, 'A listener of the load balancer has allowed_cidrs.');
}
