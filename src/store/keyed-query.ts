import type { CompiledQuery } from 'kysely';
import type { Queryable } from './database.ts';

/** Stands for the key in the compiled query, whatever its type. */
const KEY = '00000000-0000-0000-0000-000000000000';

/**
 * A query for what a uuid, or several of them, names, put into words once: that takes longer than the database's answer.
 * @param build makes the query of a key, which it may only use as a value
 */
export function keyedQuery<Row, Key = string>(
  build: (db: Queryable, key: Key) => { compile(): CompiledQuery<Row> },
): (db: Queryable, key: Key) => Promise<Row[]> {
  let query: CompiledQuery<Row> | undefined;
  return async (db, key) => {
    query ??= build(db, KEY as Key).compile();
    const parameters = query.parameters.map((value) => (value === KEY ? key : value));
    const { rows } = await db.executeQuery<Row>({ ...query, parameters });
    return rows;
  };
}
