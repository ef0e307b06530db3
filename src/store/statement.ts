/** Collects the values of a hand-written statement and gives each its `$n`. */
export class Parameters {
  readonly values: unknown[] = [];

  /** Append a value; with `cast` as `$n::cast`. */
  add(value: unknown, cast?: string): string {
    this.values.push(value);
    return cast ? `$${this.values.length}::${cast}` : `$${this.values.length}`;
  }

  json(value: unknown): string {
    return this.add(JSON.stringify(value), 'jsonb');
  }
}

/** Statements with a name; the others are parsed and planned each time. Bounded, because lists make endless variants. */
const MAX_NAMED_STATEMENTS = 1_000;
/** Longer ones are inserts of many rows: each number of rows is another statement, and seldom seen again. */
const MAX_NAMED_LENGTH = 30_000;
const names = new Map<string, string>();

/**
 * Name under which a connection prepares a statement: planning the larger ones takes far longer than running them.
 * undefined for what is not worth it or cannot be prepared.
 */
export function statementName(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined) return known;
  if (text.length > MAX_NAMED_LENGTH || names.size >= MAX_NAMED_STATEMENTS) return undefined;
  if (!/^\s*(select|insert|update|delete|with)\b/i.test(text)) return undefined;
  const name = `amphorae_${names.size}`;
  names.set(text, name);
  return name;
}
