/**
 * The one vocabulary of failure. Errors are classified where they enter (provider, agent client, store) and
 * nowhere else; everything above only reads `kind`.
 *
 * - `placement`: no host or no VF satisfies the request, or a quota is met. Retrying at once cannot help.
 * - `transient`: the same call may succeed later (connection lost, service busy). Effects retry it.
 * - `terminal`: the call is wrong or the object is broken. Effects give up.
 */
export type ErrorKind = 'placement' | 'transient' | 'terminal';

/** An error as it is stored in snapshots and rows and shown to users. */
export interface ErrorRecord {
  kind: ErrorKind;
  /** Stable, machine-readable, snake_case: `no_valid_host`, `no_vf_left`, `agent_unreachable`, ... */
  code: string;
  /** What happened and what to do, for an operator; ends with the provider's own message if there is one. */
  message: string;
}

export class AmphoraeError extends Error {
  readonly kind: ErrorKind;
  readonly code: string;

  constructor(kind: ErrorKind, code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.kind = kind;
    this.code = code;
  }
}

export class PlacementError extends AmphoraeError {
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super('placement', code, message, options);
  }
}

export class TransientError extends AmphoraeError {
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super('transient', code, message, options);
  }
}

export class TerminalError extends AmphoraeError {
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super('terminal', code, message, options);
  }
}

/** Code of a TransientError that says nothing about the work itself: the store could not be asked. */
export const DATABASE_UNAVAILABLE = 'database_unavailable';

/** Any thrown value as a record. What nobody classified is a defect of ours: terminal, `internal`. */
export function toErrorRecord(error: unknown): ErrorRecord {
  if (error instanceof AmphoraeError) {
    return { kind: error.kind, code: error.code, message: error.message };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'terminal', code: 'internal', message: `unexpected failure: ${message}` };
}
