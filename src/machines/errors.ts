import type { ErrorRecord } from '../model/errors.ts';

/** The error of a failed effect. The runtime delivers records; anything else is a defect and is said so. */
export function caught(error: unknown): ErrorRecord {
  if (
    typeof error === 'object' &&
    error !== null &&
    'kind' in error &&
    'code' in error &&
    'message' in error
  ) {
    return error as ErrorRecord;
  }
  return { kind: 'terminal', code: 'internal', message: `unexpected failure: ${String(error)}` };
}

/** The chart's own deadline of a state passed. */
export function deadlineError(step: string): ErrorRecord {
  return {
    kind: 'transient',
    code: 'deadline_exceeded',
    message: `${step} took longer than its deadline allows; look at the events of this actor for its last attempt`,
  };
}
