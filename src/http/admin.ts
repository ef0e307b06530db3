import type { IncomingMessage } from 'node:http';
import type { Context, MiddlewareHandler } from 'hono';
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
 * Says who asks. Where there is authentication, policy has decided by now that it is an administrator. Where there is none,
 * whoever calls from this host is one, and is called what the client says.
 */
export const adminOnly: MiddlewareHandler<AdminEnv> = async (context, next) => {
  const { name, subject } = context.get('caller');
  context.set('operator', subject === undefined ? unauthenticatedOperator(context) : name);
  await next();
};

function unauthenticatedOperator(context: Context): string {
  if (!fromThisHost(context.env)) {
    throw new Fault(
      403,
      'Only administrators may do this, and without authentication only from the same host.',
    );
  }
  const name = OperatorName.safeParse(context.req.header(OPERATOR_HEADER) ?? 'unknown');
  if (!name.success)
    throw invalidInput(OPERATOR_HEADER, null, 'Value should be a name of at most 255 characters.');
  return name.data;
}

/** Both ends of the connection have the same address; a call within the process has no connection. */
function fromThisHost(env: unknown): boolean {
  const socket = (env as { incoming?: IncomingMessage } | undefined)?.incoming?.socket;
  return socket === undefined || socket.remoteAddress === socket.localAddress;
}
