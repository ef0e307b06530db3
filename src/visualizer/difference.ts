/** One place in which two values differ. */
export interface Difference {
  /** As in `amphorae[0].phase`; empty for the whole. */
  path: string;
  /** Absent where there was, or is, nothing. */
  before?: unknown;
  after?: unknown;
}

/** Where two values that came from JSON differ, down to the smallest parts. Lists are compared place by place. */
export function differences(before: unknown, after: unknown, path = ''): Difference[] {
  if (Object.is(before, after)) return [];
  if (!isTree(before) || !isTree(after) || Array.isArray(before) !== Array.isArray(after)) {
    return [{ path, ...(before !== undefined && { before }), ...(after !== undefined && { after }) }];
  }
  const isList = Array.isArray(before);
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => {
    const inner = isList ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
    return differences(before[key], after[key], inner);
  });
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
