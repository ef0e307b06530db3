import { createHash } from 'node:crypto';
import type { AmphoraNode, LoadBalancerGraph, Vip } from '../model/graph.ts';
import { vipAddresses } from './desired.ts';

/** The interface in an amphora that carries the VIP (contract D4). */
const VIP_INTERFACE = 'eth1';

/**
 * keepalived's configuration of one amphora of an ACTIVE_STANDBY pair (contract E5); undefined for SINGLE. Peers are
 * unicast and no virtual MAC is used: an untrusted VF may not change its address.
 */
export function renderKeepalived(graph: LoadBalancerGraph, amphora: AmphoraNode): string | undefined {
  if (graph.topology !== 'ACTIVE_STANDBY' || amphora.vrrpIp === null) return undefined;
  const peers = graph.amphorae.flatMap(({ id, status, vrrpIp }) =>
    id !== amphora.id && status === 'ALLOCATED' && vrrpIp !== null ? [vrrpIp] : [],
  );
  const [first, ...others] = vipAddresses(graph);
  const sorted = [...(first ? [first] : []), ...others.sort()];
  const own = sorted.filter((address) => familyOf(address) === familyOf(amphora.vrrpIp ?? ''));
  const excluded = sorted.filter((address) => !own.includes(address));
  return `${[
    // Without it keepalived asks the name service who it is, and waits for the answer before it reads on.
    'global_defs {',
    `    router_id ${amphora.id}`,
    '}',
    'vrrp_instance '.concat(graph.id.replaceAll('-', ''), ' {'),
    '    state BACKUP',
    `    interface ${VIP_INTERFACE}`,
    '    virtual_router_id 1',
    `    priority ${amphora.vrrpPriority ?? 100}`,
    '    nopreempt',
    '    accept',
    '    garp_master_refresh 5',
    '    garp_master_refresh_repeat 2',
    '    advert_int 1',
    '    authentication {',
    '        auth_type PASS',
    `        auth_pass ${vrrpSecret(graph.vip)}`,
    '    }',
    `    unicast_src_ip ${amphora.vrrpIp}`,
    ...block('unicast_peer', peers),
    ...block('virtual_ipaddress', own.map(withPrefix)),
    ...block('virtual_ipaddress_excluded', excluded.map(withPrefix)),
    '}',
  ].join('\n')}\n`;
}

function block(name: string, lines: string[]): string[] {
  return lines.length === 0 ? [] : [`    ${name} {`, ...lines.map((line) => `        ${line}`), '    }'];
}

function withPrefix(address: string): string {
  return `${address}/${familyOf(address) === 6 ? 128 : 32} dev ${VIP_INTERFACE}`;
}

function familyOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4;
}

/**
 * Keeps two load balancers on one network apart by mistake, not by malice: VRRP sends it in clear. Both amphorae derive
 * the same one from the VIP's port.
 */
function vrrpSecret({ portId, address }: Vip): string {
  return createHash('sha256')
    .update(portId ?? address)
    .digest('hex')
    .slice(0, 7);
}
