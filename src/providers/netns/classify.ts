import { AmphoraeError, TransientError } from '../../model/errors.ts';
import { isForeignKeyViolation, isUnavailable, isUniqueViolation } from '../../store/database-errors.ts';

/** A view of `target` whose methods throw classified errors only, where the cause is known at all. */
export function classified<T extends object>(target: T): T {
  return new Proxy(target, {
    get(object, property, receiver) {
      const member: unknown = Reflect.get(object, property, object);
      if (typeof member !== 'function') return Reflect.get(object, property, receiver);
      return (...args: unknown[]) => Promise.resolve(Reflect.apply(member, object, args)).catch(rethrow);
    },
  });
}

function rethrow(error: unknown): never {
  if (error instanceof AmphoraeError) throw error;
  if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) {
    throw new TransientError('cancelled', 'the call was cancelled or ran out of time', { cause: error });
  }
  if (isUnavailable(error)) {
    throw new TransientError(
      'database_unavailable',
      `the database does not answer: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
  if (isUniqueViolation(error) || isForeignKeyViolation(error)) {
    throw new TransientError('conflict', `somebody else changed the same: ${(error as Error).message}`, {
      cause: error,
    });
  }
  throw error;
}
