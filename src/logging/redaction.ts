/** What stands where a secret was. */
const REDACTED = '[redacted]';

/** Names of what is secret, wherever it stands: in headers, bodies, settings, files. */
const SECRET_NAMES =
  'x-(?:auth|subject|service)-token|authorization|cookie|token|passw(?:or)?d|pass|passphrase|secret|api[-_]?key|' +
  'private[-_]?key|heartbeat[-_]?key|credential[-_]?secret';
const SECRET_NAME = new RegExp(`(?:^|[-_.])(?:set-)?(?:${SECRET_NAMES})$`, 'i');

/** Deeper, longer or more is not for a log. */
const DEPTH = 6;
const LENGTH = 50;
const STEPS = 500;

/** What an error may show besides its name, message, stack and causes: facts of ours, of the system, of PostgreSQL. */
const ERROR_FACTS = [
  ...['kind', 'code', 'status', 'statusCode', 'errno', 'syscall', 'address', 'port', 'path'],
  ...['severity', 'routine', 'table', 'constraint'],
];

/**
 * The fields of a line, as they may be logged: no value whose name says that it is secret, of errors only what is known to
 * be harmless, and of other objects that have a class (requests, headers, sockets) only its name.
 */
export function loggable(fields: Record<string, unknown>): Record<string, unknown> {
  return new Walk().entries(fields, 0);
}

/** A walk over what hangs on one line; it ends also where there are circles. */
class Walk {
  #steps = 0;

  entries(object: object, depth: number): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(object)
        .slice(0, LENGTH)
        .map(([name, value]) => [name, isSecret(name, value) ? REDACTED : this.#plain(value, depth)]),
    );
  }

  #plain(value: unknown, depth: number): unknown {
    if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
    if (typeof value === 'function') return '[function]';
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    const prototype = Object.getPrototypeOf(value);
    const isPlain = prototype === null || prototype === Object.prototype || Array.isArray(value);
    this.#steps += 1;
    if (depth >= DEPTH || this.#steps > STEPS || !(isPlain || value instanceof Error))
      return `[${prototype?.constructor?.name ?? 'object'}]`;
    if (value instanceof Error) return this.#error(value, depth + 1);
    return Array.isArray(value) ? this.#list(value, depth + 1) : this.entries(value, depth + 1);
  }

  /** Also lists of names and values by turns, as HTTP clients have headers. */
  #list(list: unknown[], depth: number): unknown[] {
    return list.slice(0, LENGTH).map((value, index) => {
      const name = list[index - 1];
      return typeof name === 'string' && SECRET_NAME.test(name) ? REDACTED : this.#plain(value, depth);
    });
  }

  #error(error: Error, depth: number): object {
    const facts = error as unknown as Record<string, unknown>;
    const isFact = (name: string) => typeof facts[name] === 'string' || typeof facts[name] === 'number';
    return {
      type: error.name,
      message: error.message,
      stack: error.stack,
      ...Object.fromEntries(ERROR_FACTS.filter(isFact).map((name) => [name, facts[name]])),
      ...(error.cause !== undefined && { cause: this.#plain(error.cause, depth) }),
      ...(error instanceof AggregateError && { errors: this.#list(error.errors, depth) }),
    };
  }
}

/** Whether something was given matters, and is no secret. */
function isSecret(name: string, value: unknown): boolean {
  return SECRET_NAME.test(name) && value !== undefined && value !== null && typeof value !== 'boolean';
}

/** What is secret in any text: private keys, Keystone's tokens, our keys, credentials in URLs, and what is named so. */
const SECRET_TEXTS: [RegExp, string][] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END)[^"])*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g, REDACTED],
  [/\b[0-9a-f]{64}\b/g, REDACTED],
  [/\bgAAAAA[\w-]{10,}=*/g, REDACTED],
  [/(\w:\/\/[^\s:/@"]*:)[^\s@"/]+@/g, `$1${REDACTED}@`],
  [
    new RegExp(
      `((?:${SECRET_NAMES})(?:\\\\?["'])?\\s*[:=]\\s*(?:\\\\?["'])?(?:(?:Bearer|Basic) )?)(?!\\[redacted)[^\\s"'\\\\,;&}]+`,
      'gi',
    ),
    `$1${REDACTED}`,
  ],
];

/**
 * Takes secrets out of a finished line of JSON, wherever they have got to: in messages, in stacks, in what others wrote.
 * @param secrets the ones that this process knows
 */
export function scrubber(secrets: readonly string[]): (line: string) => string {
  // Shorter ones would be found in words that mean nothing. The longest first: one may be part of another.
  const known = secrets
    .filter((secret) => secret.length >= 6)
    .map((secret) => JSON.stringify(secret).slice(1, -1))
    .sort((one, other) => other.length - one.length);
  return (line) => {
    const clean = known.reduce((text, secret) => text.replaceAll(secret, REDACTED), line);
    return SECRET_TEXTS.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), clean);
  };
}
