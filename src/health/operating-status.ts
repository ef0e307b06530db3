import type { Heartbeat } from '../amphora-api/heartbeat.ts';
import type { OperatingStatus, ProvisioningStatus } from '../model/status.ts';

/** A load balancer and what is below it, as far as its operating statuses depend on it. */
export interface StatusTree {
  id: string;
  admin_state_up: boolean;
  provisioning_status: ProvisioningStatus;
  operating_status: OperatingStatus;
  listeners: {
    id: string;
    admin_state_up: boolean;
    operating_status: OperatingStatus;
    l4_protocol: 'TCP' | 'UDP' | 'SCTP';
  }[];
  pools: { id: string; operating_status: OperatingStatus }[];
  members: { id: string; pool_id: string; operating_status: OperatingStatus }[];
}

export interface StatusChange {
  table: 'load_balancers' | 'listeners' | 'pools' | 'members';
  id: string;
  operating_status: OperatingStatus;
}

/** Operating statuses that differ after a report (contract B4). What a report says nothing of at all stays as it is. */
export function statusChanges(
  tree: StatusTree,
  report: Pick<Heartbeat, 'listeners' | 'pools'>,
): StatusChange[] {
  const listeners = tree.listeners.map((listener) => ({
    table: 'listeners' as const,
    row: listener,
    status: listenerStatus(tree, listener, report.listeners[listener.id]?.status),
  }));
  const pools = tree.pools.map((pool) => poolStatus(tree, pool, report.pools));
  const below = [...listeners, ...pools].map(({ status }) => status);
  const loadBalancer = {
    table: 'load_balancers' as const,
    row: tree,
    status: loadBalancerStatus(tree, below),
  };
  const members = pools.flatMap((pool) => pool.members);
  return [loadBalancer, ...listeners, ...pools, ...members].flatMap(({ table, row, status }) =>
    status === row.operating_status ? [] : [{ table, id: row.id, operating_status: status }],
  );
}

function listenerStatus(
  tree: StatusTree,
  listener: StatusTree['listeners'][number],
  reported: string | undefined,
): OperatingStatus {
  if (reported === 'OPEN') return 'ONLINE';
  if (reported === 'FULL') return 'DEGRADED';
  if (reported !== undefined) return listener.operating_status;
  // LVS serves nothing, and so reports nothing, as long as there is no member.
  const isExpected = listener.admin_state_up && tree.admin_state_up && listener.l4_protocol === 'TCP';
  return isExpected && tree.provisioning_status === 'ACTIVE' ? 'ERROR' : 'OFFLINE';
}

function poolStatus(tree: StatusTree, row: StatusTree['pools'][number], reported: Heartbeat['pools']) {
  const table = 'pools' as const;
  if (reported === undefined) return { table, row, status: row.operating_status, members: [] };
  // A pool is reported once for each listener that sends to it.
  const reports = Object.entries(reported)
    .filter(([name]) => name.split(':')[0] === row.id)
    .map(([, report]) => report);
  const members = tree.members
    .filter(({ pool_id }) => pool_id === row.id)
    .map((member) => {
      const words = reports.map((report) => report.members[member.id]);
      return { table: 'members' as const, row: member, status: memberStatus(member.operating_status, words) };
    });
  let status: OperatingStatus = members.some((member) => member.status === 'ERROR') ? 'DEGRADED' : 'ONLINE';
  if (reports.length === 0) status = 'OFFLINE';
  else if (reports.some((report) => report.status === 'DOWN')) status = 'ERROR';
  return { table, row, status, members };
}

/** The worst of what the pool's listeners see: each checks the member for itself. */
function memberStatus(stored: OperatingStatus, reported: (string | undefined)[]): OperatingStatus {
  const words = reported.filter((word) => word !== undefined);
  if (words.length === 0) return stored === 'NO_MONITOR' ? stored : 'OFFLINE';
  const statuses = words.map((word) => MEMBER_WORDS.find(([begin]) => word.startsWith(begin))?.[1] ?? stored);
  return MEMBER_WORDS.map(([, status]) => status).find((status) => statuses.includes(status)) ?? stored;
}

/** What a member's status begins with, the worst first: `UP 1/3` is one that may be down soon. */
const MEMBER_WORDS: [begin: string, OperatingStatus][] = [
  ['DOWN', 'ERROR'],
  ['MAINT', 'OFFLINE'],
  ['DRAIN', 'DRAINING'],
  ['no check', 'NO_MONITOR'],
  ['UP', 'ONLINE'],
];

function loadBalancerStatus(tree: StatusTree, below: OperatingStatus[]): OperatingStatus {
  if (!tree.admin_state_up) return 'OFFLINE';
  return (['ERROR', 'DEGRADED'] as const).find((status) => below.includes(status)) ?? 'ONLINE';
}
