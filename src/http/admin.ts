import type { IncomingMessage } from 'node:http';
import type { MiddlewareHandler } from 'hono';
import { text } from './attributes.ts';
import { Fault, invalidInput } from './fault.ts';

export interface AdminEnv {
  Variables: {
    /** Who asks, for the audit. */
    operator: string;
  };
}

/** Header by which a client says who asks. */
export const OPERATOR_HEADER = 'x-amphorae-operator';

const OperatorName = text(255);

/**
 * Lets administrators pass and nobody else; the only place that decides it. There is no authentication yet: whoever calls
 * from this host is an administrator, and is called what the client says.
 */
export const adminOnly: MiddlewareHandler<AdminEnv> = async (context, next) => {
  if (!fromThisHost(context.env)) {
    throw new Fault(
      403,
      'Only administrators may do this, and until there is authentication only from the same host.',
    );
  }
  const name = OperatorName.safeParse(context.req.header(OPERATOR_HEADER) ?? 'unknown');
  if (!name.success)
    throw invalidInput(OPERATOR_HEADER, null, 'Value should be a name of at most 255 characters.');
  context.set('operator', name.data);
  await next();
};

/** Both ends of the connection have the same address; a call within the process has no connection. */
function fromThisHost(env: unknown): boolean {
  const socket = (env as { incoming?: IncomingMessage } | undefined)?.incoming?.socket;
  return socket === undefined || socket.remoteAddress === socket.localAddress;
}
