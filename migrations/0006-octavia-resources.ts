import { type Kysely, sql } from 'kysely';

/** What L7 policies, quotas and their lists need. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const ownedByProject = ['listeners', 'pools', 'members', 'health_monitors', 'l7policies', 'l7rules'];

const statements = [
  // A listener uses its default pool, and those that an enabled policy of it with at least one rule redirects to.
  `CREATE VIEW pool_uses AS
    SELECT id AS listener_id, default_pool_id AS pool_id FROM listeners WHERE default_pool_id IS NOT NULL
    UNION
    SELECT listener_id, redirect_pool_id FROM l7policies AS policy
    WHERE redirect_pool_id IS NOT NULL AND admin_state_up
      AND EXISTS (SELECT 1 FROM l7rules WHERE l7policy_id = policy.id)`,
  `CREATE INDEX l7policies_redirect_pool ON l7policies (redirect_pool_id) WHERE redirect_pool_id IS NOT NULL`,
  // For the lists of a project, and to count what it has against its quota.
  ...ownedByProject.map((table) => `CREATE INDEX ${table}_project ON ${table} (project_id, created_at, id)`),
];
