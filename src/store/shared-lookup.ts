import type { CompiledQuery } from 'kysely';
import { Batches } from './batches.ts';
import type { Queryable } from './database.ts';
import { keyedQuery } from './keyed-query.ts';

/** The most ids of a statement. */
const BATCH_SIZE = 100;

/** Asks for one row by its id, as the database writes it. */
export type Lookup<Row> = (db: Queryable, id: string) => Promise<Row | undefined>;

/**
 * Looks rows up by their id. While a statement is on its way, those that are asked for gather for the next one; so the busier
 * the process is, the less each costs. In a transaction nobody waits for others.
 * @param build makes the query of ids, which it may only use as a value
 */
export function sharedLookup<Row extends { id: string }>(
  build: (db: Queryable, ids: string[]) => { compile(): CompiledQuery<Row> },
): Lookup<Row> {
  const ask = keyedQuery(build);
  const batches = new WeakMap<Queryable, Batches<string, Row | undefined>>();

  const batchesOf = (db: Queryable) => {
    const known = batches.get(db);
    if (known) return known;
    const made = new Batches<string, Row | undefined>({ atOnce: 1, size: BATCH_SIZE }, async (ids) => {
      const rows = new Map((await ask(db, ids)).map((row) => [row.id, row]));
      return ids.map((id) => rows.get(id));
    });
    batches.set(db, made);
    return made;
  };

  return async (db, id) => (db.isTransaction ? (await ask(db, [id]))[0] : batchesOf(db).add(id));
}
