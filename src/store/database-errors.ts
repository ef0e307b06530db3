import { AmphoraeError, DATABASE_UNAVAILABLE, TransientError } from '../model/errors.ts';

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
  '53100', // disk full
  '53200', // out of memory
  '53300', // too many connections
  '55P03', // lock not available
  '57P01', // administrator shutdown
  '57P02', // crash shutdown
  '57P03', // cannot connect now
]);

/**
 * Throw what a query threw, classified: work that is told that the database is away for a moment tries again.
 * @throws TransientError `database_unavailable`, or the error as it is
 */
export function rethrow(error: unknown): never {
  if (error instanceof AmphoraeError || !passes(error)) throw error;
  const { message } = error as Error;
  throw new TransientError(DATABASE_UNAVAILABLE, `the database is not available: ${message}`, {
    cause: error,
  });
}

/** True when the database could not be reached or gave up for a reason that passes. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof AmphoraeError && error.code === DATABASE_UNAVAILABLE;
}

function passes(error: unknown): boolean {
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
