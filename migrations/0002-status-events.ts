import { type Kysely, sql } from 'kysely';

/**
 * Changes of status, in an outbox until they are on the stream. A trigger writes them, so that whoever changes a row
 * cannot forget to, and in the same transaction, so that there is an event exactly when there is a change.
 *
 * `sequence` and `time` are taken while the changed row is locked: per object both follow the order of commits.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [...outbox, recordStatus, ...triggers()]) await sql.raw(statement).execute(db);
}

const outbox = [
  // Everything that is inserted is soon deleted: vacuum by count, because the table has no size to take a share of.
  `CREATE TABLE status_events (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, time timestamptz NOT NULL DEFAULT clock_timestamp(),
    resource text NOT NULL, id uuid NOT NULL, project_id text NOT NULL, load_balancer_id uuid NOT NULL,
    revision bigint NOT NULL, operation text NOT NULL CHECK (operation IN ('INSERT', 'UPDATE', 'DELETE')),
    old_provisioning_status text, new_provisioning_status text,
    old_operating_status text, new_operating_status text)
    WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`,
  // One row: who locks it may publish. `holder` published last, and does so next unless it has gone.
  `CREATE TABLE status_publisher (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), holder text)`,
  `INSERT INTO status_publisher DEFAULT VALUES`,
];

/** PL/pgSQL looks at a field only where it comes to it, so that one function serves tables of several shapes. */
const recordStatus = `
  CREATE FUNCTION record_status() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    event status_events;
    object record;
  BEGIN
    IF TG_OP = 'DELETE' THEN object := OLD; ELSE object := NEW; END IF;
    event.resource := TG_ARGV[0];
    IF event.resource = 'amphora' THEN
      event.load_balancer_id := object.load_balancer_id;
      event.revision := object.applied_revision;
      event.old_provisioning_status := OLD.status;
      event.new_provisioning_status := NEW.status;
      SELECT project_id INTO event.project_id FROM load_balancers WHERE id = object.load_balancer_id;
    ELSE
      IF event.resource = 'loadbalancer' THEN
        event.load_balancer_id := object.id;
        event.revision := object.desired_revision;
      ELSE
        event.load_balancer_id := object.load_balancer_id;
        event.revision := object.revision;
      END IF;
      event.project_id := object.project_id;
      event.old_provisioning_status := OLD.provisioning_status;
      event.new_provisioning_status := NEW.provisioning_status;
      event.old_operating_status := OLD.operating_status;
      event.new_operating_status := NEW.operating_status;
    END IF;
    INSERT INTO status_events (resource, id, project_id, load_balancer_id, revision, operation,
      old_provisioning_status, new_provisioning_status, old_operating_status, new_operating_status)
    VALUES (event.resource, object.id, coalesce(event.project_id, ''), event.load_balancer_id, event.revision, TG_OP,
      event.old_provisioning_status, event.new_provisioning_status,
      event.old_operating_status, event.new_operating_status);
    RETURN NULL;
  END $$`;

const tables = {
  load_balancers: 'loadbalancer',
  listeners: 'listener',
  pools: 'pool',
  members: 'member',
  health_monitors: 'healthmonitor',
  l7policies: 'l7policy',
  l7rules: 'l7rule',
  amphorae: 'amphora',
};

/** The condition is tested before the function is called: a change to anything else costs next to nothing. */
function triggers(): string[] {
  return Object.entries(tables).flatMap(([table, resource]) => {
    const columns = table === 'amphorae' ? ['status'] : ['provisioning_status', 'operating_status'];
    const changed = columns.map((column) => `OLD.${column} <> NEW.${column}`).join(' OR ');
    return [
      `CREATE TRIGGER record_existence AFTER INSERT OR DELETE ON ${table} FOR EACH ROW
        EXECUTE FUNCTION record_status('${resource}')`,
      `CREATE TRIGGER record_status AFTER UPDATE OF ${columns.join(', ')} ON ${table} FOR EACH ROW
        WHEN (${changed}) EXECUTE FUNCTION record_status('${resource}')`,
    ];
  });
}
