const units: [name: string, ms: number][] = [
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
  ['ms', 1],
];

/** A duration in its two largest units: `15 min`, `1 min 30 s`, `3 ms`. */
export function timeInWords(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  const first = units.findIndex(([, size]) => whole >= size);
  if (first < 0) return '0 ms';
  let left = whole;
  const parts = units.slice(first, first + 2).map(([name, size]) => {
    const count = Math.floor(left / size);
    left -= count * size;
    return count > 0 ? `${count} ${name}` : '';
  });
  return parts.filter((part) => part !== '').join(' ');
}

/** `allPlugged` as `all plugged`. */
export function nameInWords(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`);
}

/** A guard as machines have it: a name, a name with parameters, or one made with `and`, `or`, `not`. */
export function guardInWords(guard: unknown): string {
  if (typeof guard === 'string') return nameInWords(guard);
  const { type, name, guards } = guard as { type?: string; name?: string; guards?: unknown[] };
  if (guards === undefined) return nameInWords(type ?? name ?? 'condition');
  const words = guards.map(guardInWords);
  return name === 'not' ? `not ${words.join()}` : words.join(` ${name} `);
}

const results = /^xstate\.(done|error)\.actor\.(.+)$/;
const timer = /^xstate\.after\.([^.]+)\./;

/** An event as it is recorded: what it is for a person, and of what. */
export function eventInWords(type: string): { cause: 'message' | 'done' | 'failed' | 'time'; name: string } {
  const [, result, effect] = results.exec(type) ?? [];
  if (effect !== undefined) return { cause: result === 'done' ? 'done' : 'failed', name: effect };
  const [, delay] = timer.exec(type) ?? [];
  if (delay !== undefined) return { cause: 'time', name: delay };
  return { cause: 'message', name: type };
}
