/** Codes of SQLSTATE and of the socket that mean "not now": the same statement may succeed later. */
const UNAVAILABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  '25P03', // idle in transaction for too long
  '40001', // serialization failure
  '40P01', // deadlock
  '53300', // too many connections
  '55P03', // lock not available
  '57P01', // administrator shutdown
  '57P02', // crash shutdown
  '57P03', // cannot connect now
]);

/** True when the database could not be reached or gave up for a reason that passes. */
export function isUnavailable(error: unknown): boolean {
  if (UNAVAILABLE.has(codeOf(error)) || codeOf(error).startsWith('08')) return true;
  // node-postgres has no codes for a lost connection or an exhausted pool.
  return (
    error instanceof Error &&
    /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/.test(
      error.message,
    )
  );
}

/** True when a row like this exists already. */
export function isUniqueViolation(error: unknown): boolean {
  return codeOf(error) === '23505';
}

/** True when a row is still referred to, or refers to one that is gone. */
export function isForeignKeyViolation(error: unknown): boolean {
  return codeOf(error) === '23503';
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}
