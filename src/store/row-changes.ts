import type { AmphoraPatch, RowChange } from '../machines/row-change.ts';
import type { Parameters } from './statement.ts';

/** Tables below a load balancer that have a provisioning status, in the order in which rows can be removed. */
const children = ['l7rules', 'l7policies', 'health_monitors', 'members', 'listeners', 'pools'] as const;

/** Those whose operating status follows from `admin_state_up` alone (contract B3). */
const selfReporting: readonly string[] = ['l7rules', 'l7policies', 'health_monitors'];

const pending = `provisioning_status IN ('PENDING_CREATE', 'PENDING_UPDATE', 'PENDING_DELETE')`;

/** Those that change objects below the load balancer, which the API may be changing at the same time. */
const acrossTables: readonly RowChange['op'][] = [
  'settle',
  'reject',
  'failLoadBalancer',
  'deleteLoadBalancer',
];

/**
 * Row changes as common table expressions of one statement, with their names. Each takes effect only where
 * `(SELECT 1 FROM <guard>)` finds a row, so that a fenced commit changes nothing.
 */
export function compileRowChanges(
  changes: RowChange[],
  parameters: Parameters,
  guard: string,
): [name: string, sql: string][] {
  const named = (statements: string[]) =>
    statements.map((sql, index): [string, string] => [`row_change_${index}`, sql]);
  const across = changes.find(({ op }) => acrossTables.includes(op));
  if (across === undefined || !('loadBalancerId' in across)) {
    const when = `EXISTS (SELECT 1 FROM ${guard})`;
    return named(mergePatches(changes).flatMap((change) => compile(change, parameters, when)));
  }
  // The load balancer's row is the lock of everything below it: whoever takes another row first ends in a deadlock.
  const locked = `SELECT id FROM load_balancers WHERE id = ${parameters.add(across.loadBalancerId, 'uuid')}
    AND EXISTS (SELECT 1 FROM ${guard}) FOR NO KEY UPDATE`;
  const when = 'EXISTS (SELECT 1 FROM locked)';
  return [
    ['locked', locked],
    ...named(mergePatches(changes).flatMap((change) => compile(change, parameters, when))),
  ];
}

/** A row may be updated once per statement: patches of the same amphora become one. */
function mergePatches(changes: RowChange[]): RowChange[] {
  const patches = new Map<string, AmphoraPatch>();
  const others: RowChange[] = [];
  for (const change of changes) {
    if (change.op === 'patchAmphora') {
      patches.set(change.amphoraId, { ...patches.get(change.amphoraId), ...change.patch });
    } else {
      others.push(change);
    }
  }
  return [
    ...others,
    ...[...patches].map(([amphoraId, patch]) => ({ op: 'patchAmphora' as const, amphoraId, patch })),
  ];
}

function compile(change: RowChange, parameters: Parameters, when: string): string[] {
  switch (change.op) {
    case 'storeVip':
      return storeVip(change, parameters, when);
    case 'insertAmphorae':
      return [
        `INSERT INTO amphorae (id, load_balancer_id, status, role, vrrp_id, vrrp_priority)
         SELECT id, ${parameters.add(change.loadBalancerId, 'uuid')}, 'PENDING_CREATE', role, 1,
           CASE role WHEN 'MASTER' THEN 100 WHEN 'BACKUP' THEN 90 END
         FROM jsonb_to_recordset(${parameters.json(change.amphorae)}) AS amphora (id uuid, role text) WHERE ${when}`,
      ];
    case 'patchAmphora':
      return patchAmphora(change.amphoraId, change.patch, parameters, when);
    case 'replacePorts':
      return replacePorts(change, parameters, when);
    case 'removeAmphora':
      return [`DELETE FROM amphorae WHERE id = ${parameters.add(change.amphoraId)} AND ${when}`];
    case 'markAmphora':
      return [
        `UPDATE amphorae SET stale_since = ${change.stale ? 'coalesce(stale_since, now())' : 'NULL'}
         WHERE id = ${parameters.add(change.amphoraId, 'uuid')} AND ${when}`,
      ];
    case 'endFailover':
      return [
        `UPDATE automatic_failovers SET ended_at = now()
         WHERE load_balancer_id = ${parameters.add(change.loadBalancerId, 'uuid')} AND ended_at IS NULL AND ${when}`,
      ];
    case 'settle':
      return settle(change, parameters, when);
    case 'reject':
      return reject(change, parameters, when);
    case 'failLoadBalancer':
      return failLoadBalancer(change, parameters, when);
    case 'deleteLoadBalancer':
      return deleteLoadBalancer(change.loadBalancerId, parameters, when);
  }
}

type Change<Op extends RowChange['op']> = Extract<RowChange, { op: Op }>;

function storeVip(change: Change<'storeVip'>, parameters: Parameters, when: string): string[] {
  const id = parameters.add(change.loadBalancerId, 'uuid');
  const { vip } = change;
  const statements = [
    `UPDATE load_balancers SET vip_address = ${parameters.add(vip.address)},
       vip_subnet_id = ${parameters.add(vip.subnetId)}, vip_network_id = ${parameters.add(vip.networkId)},
       vip_port_id = ${parameters.add(vip.portId)}
     WHERE id = ${id} AND ${when}`,
  ];
  if (change.additionalVips.length > 0) {
    statements.push(
      `UPDATE additional_vips SET ip_address = given.address, network_id = given."networkId", port_id = given."portId"
       FROM jsonb_to_recordset(${parameters.json(change.additionalVips)})
         AS given (address text, "subnetId" uuid, "networkId" uuid, "portId" uuid)
       WHERE load_balancer_id = ${id} AND subnet_id = given."subnetId" AND ${when}`,
    );
  }
  return statements;
}

const amphoraColumns: { [K in keyof AmphoraPatch]-?: string | undefined } = {
  status: undefined,
  compute_id: undefined,
  lb_network_ip: undefined,
  vrrp_ip: undefined,
  ha_ip: undefined,
  vrrp_port_id: 'uuid',
  ha_port_id: 'uuid',
  cert_expiration: 'timestamptz',
  cached_zone: undefined,
  image_id: undefined,
  compute_flavor: undefined,
  applied_revision: 'bigint',
  error_code: undefined,
  error_message: undefined,
};

function patchAmphora(id: string, patch: AmphoraPatch, parameters: Parameters, when: string): string[] {
  const assignments = Object.entries(amphoraColumns)
    .filter(([column]) => column in patch)
    .map(
      ([column, cast]) =>
        `${column} = ${parameters.add(patch[column as keyof AmphoraPatch], cast ?? 'text')}`,
    );
  return [
    `UPDATE amphorae SET ${[...assignments, 'updated_at = now()'].join(', ')}
     WHERE id = ${parameters.add(id)} AND ${when}`,
  ];
}

function replacePorts(change: Change<'replacePorts'>, parameters: Parameters, when: string): string[] {
  const amphora = parameters.add(change.amphoraId, 'uuid');
  const ports = parameters.json(change.ports);
  return [
    `DELETE FROM amphora_ports WHERE amphora_id = ${amphora} AND ${when}
       AND port_id NOT IN (SELECT "portId" FROM jsonb_to_recordset(${ports}) AS port ("portId" uuid))`,
    `INSERT INTO amphora_ports (port_id, amphora_id, role, network_id, vnic_type, mac_address, mtu, fixed_ips)
     SELECT "portId", ${amphora}, role, "networkId", "vnicType", "macAddress", mtu, "fixedIps"
     FROM jsonb_to_recordset(${ports}) AS port ("portId" uuid, role text, "networkId" uuid, "vnicType" text,
       "macAddress" text, mtu integer, "fixedIps" jsonb) WHERE ${when}
     ON CONFLICT (port_id) DO UPDATE SET fixed_ips = excluded.fixed_ips, mtu = excluded.mtu`,
  ];
}

function settle(change: Change<'settle'>, parameters: Parameters, when: string): string[] {
  const id = parameters.add(change.loadBalancerId, 'uuid');
  const revision = parameters.add(change.revision, 'bigint');
  const decided = parameters.add(change.decided, 'bigint');
  const settled = change.revive
    ? `(provisioning_status IN ('PENDING_CREATE', 'PENDING_UPDATE') OR provisioning_status = 'ERROR' AND NOT withheld)`
    : `provisioning_status IN ('PENDING_CREATE', 'PENDING_UPDATE')`;
  const statements = children.flatMap((table) => {
    const mine = `load_balancer_id = ${id} AND revision <= ${revision} AND ${when}`;
    const operating = selfReporting.includes(table)
      ? `, operating_status = CASE WHEN admin_state_up THEN 'ONLINE' ELSE 'OFFLINE' END`
      : '';
    return [
      `DELETE FROM ${table} WHERE provisioning_status = 'PENDING_DELETE' AND ${mine}`,
      `UPDATE ${table} SET provisioning_status = 'ACTIVE', error_code = NULL, error_message = NULL,
         updated_at = now()${operating}
       WHERE ${settled} AND ${mine}`,
    ];
  });
  statements.push(
    `UPDATE members SET operating_status = 'NO_MONITOR' WHERE load_balancer_id = ${id}
       AND provisioning_status = 'ACTIVE' AND pool_id IN (SELECT pool_id FROM health_monitors
         WHERE load_balancer_id = ${id} AND provisioning_status = 'PENDING_DELETE' AND revision <= ${revision})
       AND ${when}`,
  );
  statements.push(
    `UPDATE load_balancers SET applied_revision = ${revision}, updated_at = now(), error_code = NULL,
       error_message = NULL,
       provisioning_status = CASE WHEN desired_revision > ${decided} THEN 'PENDING_UPDATE' ELSE 'ACTIVE' END
     WHERE id = ${id} AND ${when}`,
  );
  return statements;
}

/** Objects whose last change is one of those become ERROR; parents that were only locked stay as they are. */
function reject(change: Change<'reject'>, parameters: Parameters, when: string): string[] {
  const id = parameters.add(change.loadBalancerId, 'uuid');
  const beyond = parameters.add(change.beyond, 'bigint');
  const through = parameters.add(change.through, 'bigint');
  const code = parameters.add(change.error.code);
  const message = parameters.add(change.error.message);
  return children.map(
    (table) =>
      `UPDATE ${table} SET provisioning_status = 'ERROR', withheld = ${change.withhold}, error_code = ${code},
         error_message = ${message}, updated_at = now()
       WHERE load_balancer_id = ${id} AND ${pending} AND revision > ${beyond} AND revision <= ${through}
         AND ${when}`,
  );
}

function failLoadBalancer(
  change: Change<'failLoadBalancer'>,
  parameters: Parameters,
  when: string,
): string[] {
  const id = parameters.add(change.loadBalancerId, 'uuid');
  const code = parameters.add(change.error.code);
  const message = parameters.add(change.error.message);
  const failed = `provisioning_status = 'ERROR', error_code = ${code}, error_message = ${message}, updated_at = now()`;
  return [
    `UPDATE load_balancers SET ${failed}${
      change.vipReleased ? ', vip_port_id = CASE WHEN vip_port_owned THEN NULL ELSE vip_port_id END' : ''
    } WHERE id = ${id} AND ${when}`,
    ...children.map(
      (table) => `UPDATE ${table} SET ${failed} WHERE load_balancer_id = ${id} AND ${pending} AND ${when}`,
    ),
  ];
}

function deleteLoadBalancer(loadBalancerId: string, parameters: Parameters, when: string): string[] {
  const id = parameters.add(loadBalancerId, 'uuid');
  return [
    ...children.map((table) => `DELETE FROM ${table} WHERE load_balancer_id = ${id} AND ${when}`),
    `UPDATE load_balancers SET provisioning_status = 'DELETED', operating_status = 'OFFLINE', updated_at = now()
     WHERE id = ${id} AND ${when}`,
  ];
}
