import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import pg from 'pg';
import type { Database } from './schema.ts';

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

/** Open a pool of at most `maxConnections` to the server that `url` names. Connects lazily. */
export function openDatabase(
  url: string,
  options: { maxConnections: number; applicationName: string },
): OpenDatabase {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.maxConnections,
    application_name: options.applicationName,
    connectionTimeoutMillis: 10_000,
  });
  // Idle connections break when the server restarts; the pool replaces them on the next query.
  pool.on('error', () => {});
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  // Not db.destroy(): it leaves the pool open when only the pool was used.
  return { db, pool, close: () => pool.end() };
}
