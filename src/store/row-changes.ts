import type { AmphoraPatch, RowChange } from '../machines/row-change.ts';
import type { Parameters } from './statement.ts';
import { TLS_UNREADABLE } from './unreadable-listeners.ts';

/** A change of the `n`th of the commits that one statement makes. */
export interface NumberedChange {
  n: number;
  change: RowChange;
}

/** Tables below a load balancer that have a provisioning status, in the order in which rows can be removed. */
const children = ['l7rules', 'l7policies', 'health_monitors', 'members', 'listeners', 'pools'] as const;

/** Those whose operating status follows from `admin_state_up` alone (contract B3). */
const selfReporting: readonly string[] = ['l7rules', 'l7policies', 'health_monitors'];

const pending = `provisioning_status IN ('PENDING_CREATE', 'PENDING_UPDATE', 'PENDING_DELETE')`;

type Op = RowChange['op'];
type Change<O extends Op> = Extract<RowChange, { op: O }>;

/** Every column that a patch may have. */
const patched: string = Object.keys({
  status: true,
  compute_id: true,
  lb_network_ip: true,
  vrrp_ip: true,
  ha_ip: true,
  vrrp_port_id: true,
  ha_port_id: true,
  cert_expiration: true,
  cached_zone: true,
  image_id: true,
  compute_flavor: true,
  applied_revision: true,
  error_code: true,
  error_message: true,
} satisfies Record<keyof AmphoraPatch, true>).join(', ');

/** One kind of change in SQL, for any number of them. */
interface Compiled {
  /** What it takes of each, as columns of `jsonb_to_recordset`. */
  columns: string;
  /** Whether it touches objects below load balancers, which the API may be changing at the same time. */
  across?: boolean;
  /** Statements over the rows of `given`: those columns, of the changes that are to take effect. */
  statements(given: string): string[];
}

const compilers: { [O in Op]: Compiled & { rows(change: Change<O>): object[] } } = {
  storeVip: {
    columns:
      'id uuid, address text, "subnetId" uuid, "networkId" uuid, "portId" uuid, "additionalVips" jsonb',
    rows: ({ loadBalancerId, vip, additionalVips }) => [{ id: loadBalancerId, ...vip, additionalVips }],
    statements: (given) => [
      `UPDATE load_balancers lb SET vip_address = given.address, vip_subnet_id = given."subnetId",
         vip_network_id = given."networkId", vip_port_id = given."portId"
       FROM ${given} WHERE lb.id = given.id`,
      `UPDATE additional_vips a SET ip_address = vip.address, network_id = vip."networkId", port_id = vip."portId"
       FROM ${given} CROSS JOIN LATERAL jsonb_to_recordset(given."additionalVips")
         AS vip (address text, "subnetId" uuid, "networkId" uuid, "portId" uuid)
       WHERE a.load_balancer_id = given.id AND a.subnet_id = vip."subnetId"`,
    ],
  },
  insertAmphorae: {
    columns: 'id uuid, "loadBalancerId" uuid, role text',
    rows: ({ loadBalancerId, amphorae }) => amphorae.map((amphora) => ({ loadBalancerId, ...amphora })),
    statements: (given) => [
      `INSERT INTO amphorae (id, load_balancer_id, status, role, vrrp_id, vrrp_priority)
       SELECT id, "loadBalancerId", 'PENDING_CREATE', role, 1,
         CASE role WHEN 'MASTER' THEN 100 WHEN 'BACKUP' THEN 90 END FROM ${given}`,
    ],
  },
  patchAmphora: {
    columns: 'id uuid, patch jsonb',
    rows: ({ amphoraId, patch }) => [{ id: amphoraId, patch }],
    statements: (given) => [
      `UPDATE amphorae SET updated_at = now(), (${patched}) = (
         SELECT ${patched} FROM jsonb_populate_record(amphorae, given.patch))
       FROM ${given} WHERE amphorae.id = given.id`,
    ],
  },
  replacePorts: {
    columns: 'id uuid, ports jsonb, "portIds" uuid[]',
    rows: ({ amphoraId, ports }) => [{ id: amphoraId, ports, portIds: ports.map(({ portId }) => portId) }],
    statements: (given) => [
      `DELETE FROM amphora_ports p USING ${given} WHERE p.amphora_id = given.id AND p.port_id <> ALL ("portIds")`,
      `INSERT INTO amphora_ports (port_id, amphora_id, role, network_id, vnic_type, mac_address, mtu, fixed_ips)
       SELECT "portId", id, role, "networkId", "vnicType", "macAddress", mtu, "fixedIps"
       FROM ${given} CROSS JOIN LATERAL jsonb_to_recordset(ports) AS port ("portId" uuid, role text, "networkId" uuid,
         "vnicType" text, "macAddress" text, mtu integer, "fixedIps" jsonb)
       ON CONFLICT (port_id) DO UPDATE SET fixed_ips = excluded.fixed_ips, mtu = excluded.mtu`,
    ],
  },
  removeAmphora: {
    columns: 'id uuid',
    rows: ({ amphoraId }) => [{ id: amphoraId }],
    statements: (given) => [`DELETE FROM amphorae USING ${given} WHERE amphorae.id = given.id`],
  },
  markAmphora: {
    columns: 'id uuid, stale boolean',
    rows: ({ amphoraId, stale }) => [{ id: amphoraId, stale }],
    statements: (given) => [
      `UPDATE amphorae SET stale_since = CASE WHEN given.stale THEN coalesce(stale_since, now()) END,
         status = CASE WHEN status = 'FAILOVER_STOPPED' AND NOT given.stale THEN 'ALLOCATED' ELSE status END
       FROM ${given} WHERE amphorae.id = given.id`,
    ],
  },
  stopFailover: {
    columns: 'id uuid',
    rows: ({ amphoraId }) => [{ id: amphoraId }],
    statements: (given) => [
      `UPDATE amphorae SET status = 'FAILOVER_STOPPED', updated_at = now()
       FROM ${given} WHERE amphorae.id = given.id AND stale_since IS NOT NULL AND status = 'ALLOCATED'`,
    ],
  },
  endFailover: {
    columns: 'id uuid',
    rows: ({ loadBalancerId }) => [{ id: loadBalancerId }],
    statements: (given) => [
      `UPDATE automatic_failovers SET ended_at = now()
       FROM ${given} WHERE load_balancer_id = given.id AND ended_at IS NULL`,
    ],
  },
  settle: {
    columns: 'id uuid, revision bigint, decided bigint, revive boolean',
    across: true,
    rows: ({ loadBalancerId, revision, decided, revive }) => [
      { id: loadBalancerId, revision, decided, revive },
    ],
    statements: settle,
  },
  reject: {
    columns: 'id uuid, beyond bigint, through bigint, withhold boolean, code text, message text',
    across: true,
    rows: ({ loadBalancerId, beyond, through, withhold, error: { code, message } }) => [
      { id: loadBalancerId, beyond, through, withhold, code, message },
    ],
    // Objects whose last change is one of those become ERROR; parents that were only locked stay as they are.
    statements: (given) =>
      children.map(
        (table) =>
          `UPDATE ${table} child SET provisioning_status = 'ERROR', withheld = given.withhold, error_code = code,
             error_message = message, updated_at = now()
           FROM ${given} WHERE load_balancer_id = given.id AND ${pending} AND revision > beyond AND revision <= through`,
      ),
  },
  failLoadBalancer: {
    columns: 'id uuid, code text, message text, "vipReleased" boolean',
    across: true,
    rows: ({ loadBalancerId, error: { code, message }, vipReleased }) => [
      { id: loadBalancerId, code, message, vipReleased },
    ],
    statements: failLoadBalancer,
  },
  deleteLoadBalancer: {
    columns: 'id uuid',
    across: true,
    rows: ({ loadBalancerId }) => [{ id: loadBalancerId }],
    statements: (given) => [
      ...children.map((table) => `DELETE FROM ${table} USING ${given} WHERE load_balancer_id = given.id`),
      `UPDATE load_balancers lb SET provisioning_status = 'DELETED', operating_status = 'OFFLINE', updated_at = now()
       FROM ${given} WHERE lb.id = given.id`,
    ],
  },
};

/** Kinds that come together or not at all, also where some of them have no rows: every other choice is a text to plan. */
const kinds: readonly Op[][] = [
  ['storeVip', 'insertAmphorae', 'patchAmphora', 'replacePorts'],
  ['removeAmphora', 'markAmphora', 'endFailover'],
  ['stopFailover'],
  ['settle'],
  ['reject'],
  ['failLoadBalancer'],
  ['deleteLoadBalancer'],
];

/**
 * Row changes as common table expressions of one statement, with their names. Each takes effect where `guard` has a row
 * with its number, so that a fenced commit changes nothing. With `sparse`, only the kinds that occur are said.
 */
export function compileRowChanges(
  changes: NumberedChange[],
  parameters: Parameters,
  guard: string,
  sparse: boolean,
): [name: string, sql: string][] {
  const merged = mergePatches(changes);
  const seen = new Set(merged.map(({ change }) => change.op));
  return kinds
    .filter((ops) => ops.some((op) => seen.has(op)))
    .flatMap((ops) => (sparse ? ops.filter((op) => seen.has(op)) : ops))
    .flatMap((op) => compile(op, merged, parameters, guard));
}

/** A row may be updated once per statement: patches of the same amphora become one. */
function mergePatches(changes: NumberedChange[]): NumberedChange[] {
  const patches = new Map<string, { n: number; change: Change<'patchAmphora'> }>();
  const others: NumberedChange[] = [];
  for (const { n, change } of changes) {
    if (change.op === 'patchAmphora') {
      const patch = { ...patches.get(change.amphoraId)?.change.patch, ...change.patch };
      patches.set(change.amphoraId, { n, change: { ...change, patch } });
    } else {
      others.push({ n, change });
    }
  }
  return [...others, ...patches.values()];
}

function compile<O extends Op>(
  op: O,
  changes: NumberedChange[],
  parameters: Parameters,
  guard: string,
): [name: string, sql: string][] {
  const { columns, across, rows, statements } = compilers[op];
  const given = changes.flatMap(({ n, change }) =>
    change.op === op ? rows(change as Change<O>).map((row) => ({ n, ...row })) : [],
  );
  // The load balancer's row is the lock of everything below it: whoever takes another row first ends in a deadlock.
  const locked = across
    ? 'CROSS JOIN LATERAL (SELECT FROM load_balancers lb WHERE lb.id = given.id FOR NO KEY UPDATE) AS locked'
    : '';
  const effective = `SELECT given.* FROM jsonb_to_recordset(${parameters.json(given)})
    AS given (n integer, ${columns}) ${locked} WHERE n IN (SELECT n FROM ${guard})`;
  return [
    [`"${op}"`, effective],
    ...statements(`"${op}" AS given`).map((sql, index): [string, string] => [`"${op} ${index}"`, sql]),
  ];
}

function settle(given: string): string[] {
  const mine = 'load_balancer_id = given.id AND child.revision <= given.revision';
  return [
    ...children.flatMap((table) => {
      const operating = selfReporting.includes(table)
        ? `, operating_status = CASE WHEN admin_state_up THEN 'ONLINE' ELSE 'OFFLINE' END`
        : '';
      return [
        `DELETE FROM ${table} child USING ${given}
         WHERE provisioning_status = 'PENDING_DELETE' AND ${mine}`,
        `UPDATE ${table} child SET provisioning_status = 'ACTIVE', error_code = NULL, error_message = NULL,
           updated_at = now()${operating}
         FROM ${given}
         WHERE (provisioning_status IN ('PENDING_CREATE', 'PENDING_UPDATE')
             OR provisioning_status = 'ERROR' AND NOT withheld AND given.revive
               AND error_code IS DISTINCT FROM '${TLS_UNREADABLE}')
           AND ${mine}`,
      ];
    }),
    `UPDATE members SET operating_status = 'NO_MONITOR' FROM ${given}
     WHERE load_balancer_id = given.id AND provisioning_status = 'ACTIVE' AND pool_id IN (
       SELECT pool_id FROM health_monitors monitor WHERE monitor.load_balancer_id = given.id
         AND monitor.provisioning_status = 'PENDING_DELETE' AND monitor.revision <= given.revision)`,
    `UPDATE load_balancers lb SET applied_revision = given.revision, updated_at = now(), error_code = NULL,
       error_message = NULL,
       provisioning_status = CASE WHEN desired_revision > decided THEN 'PENDING_UPDATE' ELSE 'ACTIVE' END
     FROM ${given} WHERE lb.id = given.id`,
  ];
}

function failLoadBalancer(given: string): string[] {
  const failed = `provisioning_status = 'ERROR', error_code = code, error_message = message, updated_at = now()`;
  return [
    `UPDATE load_balancers lb SET ${failed},
       vip_port_id = CASE WHEN "vipReleased" AND vip_port_owned THEN NULL ELSE vip_port_id END
     FROM ${given} WHERE lb.id = given.id`,
    ...children.map(
      (table) =>
        `UPDATE ${table} SET ${failed} FROM ${given} WHERE load_balancer_id = given.id AND ${pending}`,
    ),
  ];
}
