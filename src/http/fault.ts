import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { AmphoraeError } from '../model/errors.ts';
import { isUnavailable } from '../store/database-errors.ts';
import { ProfileDataError } from '../store/profile-data.ts';

/** Names of resources as they appear in texts; clients and tests match them (contract A2). */
export type ResourceName =
  | 'Load Balancer'
  | 'Listener'
  | 'Pool'
  | 'Member'
  | 'Health Monitor'
  | 'L7 Policy'
  | 'L7 Rule'
  | 'Flavor'
  | 'Flavor Profile'
  | 'Availability Zone'
  | 'Availability Zone Profile'
  | 'Amphora'
  | 'Network'
  | 'Provider'
  | 'Quota'
  | 'Actor'
  | 'Node'
  | 'Dead Letter'
  | 'Machine'
  | 'Page';

/** A refused request: becomes the response's status and `faultstring`. */
export class Fault extends Error {
  readonly status: ContentfulStatusCode;
  readonly headers: Record<string, string>;

  constructor(status: ContentfulStatusCode, text: string, headers: Record<string, string> = {}) {
    super(text);
    this.status = status;
    this.headers = headers;
  }
}

export const badRequest = (text: string) => new Fault(400, text);
export const notFound = (resource: ResourceName, id: string) =>
  new Fault(404, `${resource} ${id} not found.`);
export const conflict = (text: string) => new Fault(409, text);
export const notImplemented = (text: string) => new Fault(501, text);

/** A write below an object that something else is working on. */
export const immutable = (resource: ResourceName, id: string) =>
  conflict(`${resource} ${id} is immutable and cannot be updated.`);

/** An object outside the load balancer (port, subnet, network) that is missing or invisible: the caller's mistake. */
export const missingReference = (kind: string, id: string) => badRequest(`${kind} ${id} not found.`);

/** The text that clients parse to learn which attribute was wrong, and why. */
export function invalidInput(attribute: string, value: unknown, reason: string): Fault {
  return badRequest(`Invalid input for field/attribute ${attribute}. Value: '${shown(value)}'. ${reason}`);
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'None';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

/** Body of every error answer (contract A2, shape 1). */
export function faultBody(status: number, text: string) {
  return { faultcode: status < 500 ? 'Client' : 'Server', faultstring: text, debuginfo: null };
}

/** Any thrown value as a fault; `undefined` for what is a defect of ours. */
export function toFault(error: unknown): Fault | undefined {
  if (error instanceof Fault) return error;
  if (error instanceof HTTPException) return new Fault(error.status, error.message);
  if (error instanceof ProfileDataError) return notImplemented(error.message);
  if (isUnavailable(error)) return new Fault(503, 'The database is not available. Try again later.');
  if (error instanceof AmphoraeError && error.kind === 'transient') return new Fault(503, error.message);
  return undefined;
}
