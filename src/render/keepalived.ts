import type { AmphoraNode, LoadBalancerGraph } from '../model/graph.ts';
import { serves } from '../model/status.ts';
import { vipAddresses } from './desired.ts';

/** The interface in an amphora that carries the VIP (contract D4). */
const VIP_INTERFACE = 'eth1';

/**
 * Seconds between two advertisements. The peer takes over after three of them and its skew of at most one, so that clients
 * miss the VIP for less than a second; the contract's one second means three to four. Only VRRP version 3 takes fractions.
 */
const ADVERTISEMENT_INTERVAL = 0.2;

/** Where the agent says whether haproxy serves: 0, or anything else, which makes keepalived give the VIPs away. */
const HEALTH_FILE = '/var/lib/octavia/vrrp/health';

/** More than the priorities of a pair differ by, and together below 255. */
const PRIORITY_IN_STEP = 100;

/**
 * keepalived's configuration of one amphora of an ACTIVE_STANDBY pair (contract E5); undefined for SINGLE. Peers are
 * unicast and no virtual MAC is used: an untrusted VF may not change its address. VRRP version 3 knows no passwords; the
 * firewall admits it from the peers only.
 *
 * An amphora that is excluded (in ERROR) may run on with what it had, and hold the VIPs. Its peer is told to outbid it and has
 * its own firewall shut to it: the peer hears nobody and becomes master, and the excluded one hears a higher priority and
 * gives the VIPs up. Back in step, both bid as before, and the VIPs stay where they are.
 *
 * VIPs of the other address family move along as excluded ones. Routes and rules for
 * the VIPs are the agent's, and there all the time.
 */
export function renderKeepalived(graph: LoadBalancerGraph, amphora: AmphoraNode): string | undefined {
  if (graph.topology !== 'ACTIVE_STANDBY' || amphora.vrrpIp === null) return undefined;
  const peers = graph.amphorae.filter(
    ({ id, status, vrrpIp }) =>
      id !== amphora.id && (serves(status) || status === 'ERROR') && vrrpIp !== null,
  );
  const bid = peers.some(({ status }) => status === 'ERROR') ? PRIORITY_IN_STEP : 0;
  const [first, ...others] = vipAddresses(graph);
  const sorted = [...(first ? [first] : []), ...others.sort()];
  const own = sorted.filter((address) => familyOf(address) === familyOf(amphora.vrrpIp ?? ''));
  const excluded = sorted.filter((address) => !own.includes(address));
  return `${[
    // Without it keepalived asks the name service who it is, and waits for the answer before it reads on.
    'global_defs {',
    `    router_id ${amphora.id}`,
    // A busy host must not keep it from its advertisements.
    '    vrrp_priority -20',
    '}',
    'track_file haproxy {',
    `    file "${HEALTH_FILE}"`,
    '    weight 0',
    '    init_file 0',
    '}',
    `vrrp_instance ${graph.id.replaceAll('-', '')} {`,
    '    version 3',
    '    state BACKUP',
    `    interface ${VIP_INTERFACE}`,
    '    virtual_router_id 1',
    `    priority ${(amphora.vrrpPriority ?? 100) + bid}`,
    '    nopreempt',
    '    accept',
    '    garp_master_refresh 5',
    '    garp_master_refresh_repeat 2',
    `    advert_int ${ADVERTISEMENT_INTERVAL}`,
    ...block('track_file', ['haproxy']),
    `    unicast_src_ip ${amphora.vrrpIp}`,
    ...block(
      'unicast_peer',
      peers.map(({ vrrpIp }) => vrrpIp ?? ''),
    ),
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
