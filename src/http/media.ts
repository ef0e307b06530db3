import type { MiddlewareHandler } from 'hono';
import { Fault } from './fault.ts';

/** Everything is answered in JSON; who cannot take it learns so. An empty `Accept` is what openstacksdk sends. */
export const acceptJson: MiddlewareHandler = async (context, next) => {
  const accept = context.req.header('accept')?.trim() ?? '';
  if (accept !== '' && !accept.split(',').some(admitsJson))
    throw new Fault(406, 'Only application/json is available.');
  await next();
};

function admitsJson(range: string): boolean {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
  const refused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  return !refused && ['*/*', 'application/*', 'application/json'].includes(type);
}
