import type { CompiledQuery } from 'kysely';
import type { Queryable } from './database.ts';
import { keyedQuery } from './keyed-query.ts';

/** Asks for one row by its id, as the database writes it. */
export type Lookup<Row> = (db: Queryable, id: string) => Promise<Row | undefined>;

/** Rows that are asked for together. */
interface Batch<Row> {
  ids: Set<string>;
  rows: Promise<Map<string, Row>>;
}

/**
 * Looks rows up by their id. Those that are asked for in the same turn of the event loop come with one statement, made after
 * the last of them was asked for; so the busier the process is, the less each costs. In a transaction nobody waits for others.
 * @param build makes the query of ids, which it may only use as a value
 */
export function sharedLookup<Row extends { id: string }>(
  build: (db: Queryable, ids: string[]) => { compile(): CompiledQuery<Row> },
): Lookup<Row> {
  const ask = keyedQuery(build);
  const gathering = new WeakMap<Queryable, Batch<Row>>();

  const askTogether = async (db: Queryable, ids: Set<string>) => {
    await new Promise((resolve) => setImmediate(resolve));
    gathering.delete(db);
    return new Map((await ask(db, [...ids])).map((row) => [row.id, row]));
  };

  return async (db, id) => {
    if (db.isTransaction) return (await ask(db, [id]))[0];
    let batch = gathering.get(db);
    if (batch === undefined) {
      const ids = new Set<string>();
      batch = { ids, rows: askTogether(db, ids) };
      gathering.set(db, batch);
    }
    batch.ids.add(id);
    return (await batch.rows).get(id);
  };
}
