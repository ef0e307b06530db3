import {
  Kysely,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  type Transaction,
} from 'kysely';
import pg from 'pg';
import { rethrow } from './database-errors.ts';
import type { Database } from './schema.ts';
import { statementName } from './statement.ts';

export type Db = Kysely<Database>;
/** A `Db` or a transaction of it: what query modules take. */
export type Queryable = Db | Transaction<Database>;

// Revisions, versions and epochs are bigint columns that stay far below 2^53; strings for them would leak into
// every comparison.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

export interface OpenDatabase {
  db: Db;
  pool: pg.Pool;
  close(): Promise<void>;
}

/**
 * Open a pool of at most `maxConnections` to the server that `url` names. Connects lazily. Queries of `db`
 * reject with TransientError `database_unavailable` while the server is away, else with what the server said.
 */
export function openDatabase(
  url: string,
  options: { maxConnections: number; applicationName: string },
): OpenDatabase {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.maxConnections,
    application_name: options.applicationName,
    connectionTimeoutMillis: 10_000,
    // A server takes longer to boot than pg keeps an idle connection, and a new one plans every statement again.
    idleTimeoutMillis: 300_000,
    // Our statements go by keys: one plan for all values is as good as one for each, and planned once. It may be planned
    // while tables are nearly empty, when reading all of one looks cheap, and is used when they are not.
    // Where a table can only be read as a whole, PostgreSQL up to 17 takes that for so dear that it would compile the
    // statement each time: 40 ms instead of 20 µs.
    // And a process that hangs in the middle of a transaction must not hold its locks for ever.
    options: serverSettings({
      plan_cache_mode: 'force_generic_plan',
      jit: 'off',
      enable_seqscan: 'off',
      enable_hashjoin: 'off',
      enable_mergejoin: 'off',
      idle_in_transaction_session_timeout: '30s',
    }),
  });
  // Idle connections break when the server restarts; the pool replaces them on the next query.
  pool.on('error', () => {});
  // One that breaks in the middle of a transaction fails the next statement; unheard, it would end the process.
  pool.on('connect', (client) => client.on('error', () => {}));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool: preparing(pool) }) });
  // Not db.destroy(): it leaves the pool open when only the pool was used.
  return { db, pool, close: () => pool.end() };
}

function serverSettings(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');
}

/** The pool as kysely uses it, with every statement prepared under its name and every failure classified. */
function preparing(pool: pg.Pool): PostgresPool {
  return {
    async connect() {
      const client = await pool.connect().catch(rethrow);
      return {
        query: ((text: string, values: unknown[]) => {
          const name = statementName(text);
          return client.query({ text, values, ...(name !== undefined && { name }) }).catch(rethrow);
        }) as unknown as PostgresPoolClient['query'],
        release: () => client.release(),
      };
    },
    end: () => pool.end(),
    options: pool.options,
  };
}
