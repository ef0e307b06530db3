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
