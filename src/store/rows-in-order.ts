import type { Database } from './schema.ts';

/** Their values are JSON in a string already, as the driver wants it. */
const jsonColumns = new Set(['insert_headers', 'session_persistence']);

/**
 * A statement that inserts any number of rows, each a microsecond younger than the one before: rows of a transaction would be
 * of the same age, and lists would lose the order in which they were sent. Its text is the same for any number, so that it is
 * planned once.
 * @param rows with the same columns each
 * @param parameter stands for these rows as a JSON array: `$1::jsonb`
 */
export function insertInOrder(table: keyof Database, [first = {}]: object[], parameter: string): string {
  const columns = Object.entries(first).flatMap(([name, value]) => (value === undefined ? [] : name));
  const values = columns.map((name) => (jsonColumns.has(name) ? `(${name} #>> '{}')::jsonb` : name));
  if (table !== 'additional_vips') {
    columns.push('created_at');
    values.push(`now() + (ordinality - 1) * interval '1 microsecond'`);
  }
  return `INSERT INTO ${table} (${columns.join(', ')}) SELECT ${values.join(', ')}
    FROM jsonb_populate_recordset(NULL::${table}, ${parameter}) WITH ORDINALITY`;
}
