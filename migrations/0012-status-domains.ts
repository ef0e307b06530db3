import { type Kysely, sql } from 'kysely';

/**
 * Words that a column may hold are a domain. A CHECK of the table is read from the catalogue and made ready by every statement
 * that touches a row, whatever it changes; a domain's is kept by the session, and looked at where the column is set.
 *
 * And status events by one statement without variables, of which every row of a load balancer needs several.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [...domains, ...words.flatMap(toDomains), ...recording, endSessions])
    await sql.raw(statement).execute(db);
}

/**
 * What a session has prepared fails when the type of a column is another, as if it were wrong. A lost connection is nothing
 * new to a process: it opens another, which waits at the tables until this is committed.
 */
const endSessions = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name LIKE 'amphorae %' AND pid <> pg_backend_pid()`;

const domain = (name: string, words: string[]) =>
  `CREATE DOMAIN ${name} AS text CHECK (VALUE IN (${words.map((word) => `'${word}'`).join(', ')}))`;

const pending = ['PENDING_CREATE', 'PENDING_UPDATE', 'PENDING_DELETE'];

const domains = [
  domain('provisioning_status', [...pending, 'ACTIVE', 'ERROR', 'DELETED']),
  domain('operating_status', ['ONLINE', 'OFFLINE', 'DEGRADED', 'ERROR', 'DRAINING', 'NO_MONITOR']),
  domain('amphora_status', [
    ...['PENDING_CREATE', 'BOOTING', 'ALLOCATED', 'PENDING_DELETE', 'ERROR', 'FAILOVER_STOPPED', 'DELETED'],
  ]),
  domain('amphora_role', ['STANDALONE', 'MASTER', 'BACKUP']),
  domain('port_role', ['vip', 'member']),
  domain('topology', ['SINGLE', 'ACTIVE_STANDBY']),
  domain('vnic_type', ['normal', 'direct']),
];

const statuses = { provisioning_status: 'provisioning_status', operating_status: 'operating_status' };

/** Columns of tables that a load balancer fills, with their domains. */
const words: [table: string, resource: string | undefined, columns: Record<string, string>][] = [
  ['load_balancers', 'loadbalancer', { ...statuses, topology: 'topology', vip_vnic_type: 'vnic_type' }],
  ['listeners', 'listener', statuses],
  ['pools', 'pool', statuses],
  ['members', 'member', { ...statuses, vnic_type: 'vnic_type' }],
  ['health_monitors', 'healthmonitor', statuses],
  ['l7policies', 'l7policy', statuses],
  ['l7rules', 'l7rule', statuses],
  ['amphorae', 'amphora', { status: 'amphora_status', role: 'amphora_role' }],
  ['amphora_ports', undefined, { role: 'port_role', vnic_type: 'vnic_type' }],
];

/** The type of a column with a trigger cannot be changed. */
function toDomains([table, resource, columns]: (typeof words)[number]): string[] {
  const changes = Object.entries(columns).flatMap(([column, type]) => [
    `DROP CONSTRAINT ${table}_${column}_check`,
    `ALTER COLUMN ${column} TYPE ${type}`,
  ]);
  return [
    ...(resource === undefined ? [] : [`DROP TRIGGER record_existence ON ${table}`]),
    ...(resource === undefined ? [] : [`DROP TRIGGER record_status ON ${table}`]),
    `ALTER TABLE ${table} ${changes.join(', ')}`,
  ];
}

/** Of a row that was inserted there is no OLD, of one that was deleted no NEW: all its fields are null. */
const either = (column: string) => `coalesce(NEW.${column}, OLD.${column})`;

/** A function for each shape of table: `row` says where its status events find what. */
function record(name: string, row: Record<'project' | 'loadBalancer' | 'revision' | 'statuses', string>) {
  return `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO status_events (resource, id, project_id, load_balancer_id, revision, operation,
        old_provisioning_status, new_provisioning_status, old_operating_status, new_operating_status)
      VALUES (TG_ARGV[0], ${either('id')}, coalesce(${row.project}, ''), ${row.loadBalancer}, ${row.revision}, TG_OP,
        ${row.statuses});
      RETURN NULL;
    END $$`;
}

const bothStatuses =
  'OLD.provisioning_status, NEW.provisioning_status, OLD.operating_status, NEW.operating_status';

const recording = [
  // Only these functions write the outbox, and TG_OP is all that they write into the column.
  'ALTER TABLE status_events DROP CONSTRAINT status_events_operation_check',
  'DROP FUNCTION record_status',
  record('record_load_balancer', {
    project: either('project_id'),
    loadBalancer: either('id'),
    revision: either('desired_revision'),
    statuses: bothStatuses,
  }),
  record('record_child', {
    project: either('project_id'),
    loadBalancer: either('load_balancer_id'),
    revision: either('revision'),
    statuses: bothStatuses,
  }),
  record('record_amphora', {
    project: `(SELECT project_id FROM load_balancers WHERE id = ${either('load_balancer_id')})`,
    loadBalancer: either('load_balancer_id'),
    revision: either('applied_revision'),
    statuses: 'OLD.status, NEW.status, NULL, NULL',
  }),
  ...words.flatMap(triggers),
];

/** The condition is tested before the function is called: a change to anything else costs next to nothing. */
function triggers([table, resource]: (typeof words)[number]): string[] {
  if (resource === undefined) return [];
  const columns = resource === 'amphora' ? ['status'] : Object.keys(statuses);
  const changed = columns.map((column) => `OLD.${column} <> NEW.${column}`).join(' OR ');
  const shape = resource === 'loadbalancer' ? 'load_balancer' : resource === 'amphora' ? 'amphora' : 'child';
  return [
    `CREATE TRIGGER record_existence AFTER INSERT OR DELETE ON ${table} FOR EACH ROW
      EXECUTE FUNCTION record_${shape}('${resource}')`,
    `CREATE TRIGGER record_status AFTER UPDATE OF ${columns.join(', ')} ON ${table} FOR EACH ROW
      WHEN (${changed}) EXECUTE FUNCTION record_${shape}('${resource}')`,
  ];
}
