import type * as z from 'zod';

/** A refusal with an HTTP status; the body is `{message, details?, code?}` (contract D1, handler errors). */
export class AgentError extends Error {
  readonly status: 400 | 403 | 404 | 409 | 412 | 500 | 503;
  readonly details: string | undefined;
  readonly code: string | undefined;

  constructor(
    status: AgentError['status'],
    message: string,
    options: { details?: string | undefined; code?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.status = status;
    this.details = options.details;
    this.code = options.code;
  }
}

/**
 * `value` as the schema reads it.
 * @throws AgentError 400 that names the first wrong field, such as `rules.0.port`
 */
export function parseRequest<T extends z.ZodType>(schema: T, value: unknown, name = 'body'): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new AgentError(400, 'Invalid request', {
    details: `${issue?.path.join('.') || name}: ${issue?.message}`,
  });
}
