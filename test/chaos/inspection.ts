import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { sql } from 'kysely';
import type { Db } from '../../src/store/database.ts';
import type { Api } from './api.ts';
import { type Balancer, LOAD_BALANCERS, look, wishesIn } from './balancer.ts';
import type { Entry } from './user.ts';

/** What is still going on, as `table: count`; empty when every object has its final status and no work waits. */
export async function unfinished(db: Db): Promise<string[]> {
  const { rows } = await sql<{ what: string; count: number }>`
    SELECT what, count(*)::int AS count FROM (
      SELECT 'load balancers ' || provisioning_status AS what FROM load_balancers
        WHERE provisioning_status LIKE 'PENDING%'
      UNION ALL SELECT 'listeners ' || provisioning_status FROM listeners WHERE provisioning_status LIKE 'PENDING%'
      UNION ALL SELECT 'pools ' || provisioning_status FROM pools WHERE provisioning_status LIKE 'PENDING%'
      UNION ALL SELECT 'members ' || provisioning_status FROM members WHERE provisioning_status LIKE 'PENDING%'
      UNION ALL SELECT 'health monitors ' || provisioning_status FROM health_monitors
        WHERE provisioning_status LIKE 'PENDING%'
      UNION ALL SELECT 'amphorae ' || status FROM amphorae WHERE status <> 'ALLOCATED'
      UNION ALL SELECT 'messages' FROM messages
      UNION ALL SELECT 'effects of ' || kind || ' in ' || state FROM actors WHERE effects <> '{}'
    ) AS work GROUP BY what`.execute(db);
  return rows.map(({ what, count }) => `${count} ${what}`);
}

/** What is wrong with what the API shows, against what its users were promised. */
export async function brokenPromises(api: Api, entries: Entry[]): Promise<string[]> {
  const shown = await api.list<Balancer>(`${LOAD_BALANCERS}?limit=1000`, 'loadbalancers');
  if (shown === undefined) return ['the API does not answer'];
  const promised = new Set(entries.map(({ id }) => id));
  const extra = shown.filter(({ id }) => !promised.has(id)).map(({ id }) => `${id} should not exist`);
  const wrong = await Promise.all(entries.map((entry) => difference(api, entry)));
  return [...extra, ...wrong.flat()];
}

async function difference(api: Api, { id, wishes }: Entry): Promise<string[]> {
  const view = await look(api, id);
  if (view === undefined || view === 'gone') return [`${id} is not there`];
  const { balancer, listeners, members } = view;
  const actual = wishesIn(view);
  return [
    ...(isDeepStrictEqual(actual, wishes)
      ? []
      : [`${id} is ${JSON.stringify(actual)}, promised was ${JSON.stringify(wishes)}`]),
    ...[balancer, ...listeners, ...members]
      .filter(({ provisioning_status }) => provisioning_status !== 'ACTIVE')
      .map((each) => `${each.id} of ${id} is ${each.provisioning_status}: ${JSON.stringify(each)}`),
  ];
}

/** What the store has that nobody needs, or lacks that somebody needs. */
export async function strayRows(db: Db): Promise<string[]> {
  const { rows } = await sql<{ problem: string }>`
    SELECT 'dead letter ' || (event->>'type') || ' for ' || actor_kind || ' ' || actor_id || ': ' || error AS problem
      FROM dead_letters
    UNION ALL SELECT 'amphora ' || a.id || ' of a deleted load balancer' FROM amphorae a
      LEFT JOIN load_balancers l ON l.id = a.load_balancer_id AND l.provisioning_status <> 'DELETED'
      WHERE l.id IS NULL
    UNION ALL SELECT kind || ' ' || id || ' lives on in ' || state FROM actors WHERE NOT done AND kind = 'amphora'
      AND NOT EXISTS (SELECT FROM amphorae WHERE amphorae.id = actors.id)
    UNION ALL SELECT kind || ' ' || id || ' lives on in ' || state FROM actors WHERE NOT done AND kind = 'load-balancer'
      AND NOT EXISTS (SELECT FROM load_balancers l WHERE l.id = actors.id AND l.provisioning_status <> 'DELETED')
    UNION ALL SELECT kind || ' ' || id || ' is quarantined: ' || quarantined FROM actors WHERE quarantined IS NOT NULL
    UNION ALL SELECT 'timer ' || name || ' of ' || t.actor_kind || ' ' || t.actor_id || ', which has ended'
      FROM timers t JOIN actors a ON a.kind = t.actor_kind AND a.id = t.actor_id WHERE a.done
    UNION ALL SELECT l.id || ' has ' || count(a.id) || ' amphorae, but is ' || l.topology FROM load_balancers l
      LEFT JOIN amphorae a ON a.load_balancer_id = l.id WHERE l.provisioning_status = 'ACTIVE'
      GROUP BY l.id HAVING count(a.id) <> CASE l.topology WHEN 'SINGLE' THEN 1 ELSE 2 END
    UNION ALL SELECT l.id || ' has applied ' || l.applied_revision || ' of ' || l.desired_revision FROM load_balancers l
      WHERE l.provisioning_status = 'ACTIVE' AND l.applied_revision <> l.desired_revision
    UNION ALL SELECT 'amphora ' || a.id || ' has applied ' || a.applied_revision || ' of ' || l.desired_revision
      FROM load_balancers l JOIN amphorae a ON a.load_balancer_id = l.id
      WHERE l.provisioning_status = 'ACTIVE' AND a.applied_revision <> l.desired_revision`.execute(db);
  return rows.map(({ problem }) => problem);
}

/**
 * What controllers and supervisor wrote that is no log entry: the trace of an exception that nobody caught. A
 * controller that finds no database when it starts says so in a line of its own and tries again.
 */
export function crashes(dataDir: string): string[] {
  const directory = join(dataDir, 'logs');
  return readdirSync(directory)
    .filter((name) => name.startsWith('node-'))
    .flatMap((name) =>
      readFileSync(join(directory, name), 'utf8')
        .split('\n')
        .filter((line) => !/^(\{.*|ready .*|amphorae: the database is not available: .*|)$/.test(line))
        .map((line) => `${name}: ${line}`),
    );
}
