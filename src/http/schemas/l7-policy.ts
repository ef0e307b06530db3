import * as z from 'zod';
import type { L7PolicyNode, ListenerProtocol } from '../../model/graph.ts';
import {
  attribute,
  described,
  integer,
  mandatory,
  numeric,
  onPost,
  onPut,
  optional,
  project,
  text,
  Uuid,
} from '../attributes.ts';
import { badRequest, notImplemented } from '../fault.ts';

const Action = z.enum(['REJECT', 'REDIRECT_TO_POOL', 'REDIRECT_TO_URL', 'REDIRECT_PREFIX']);
const Url = text(255).regex(
  /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s\p{Cc}]+$/u,
  'Value should be a URL with its scheme',
);
// A plain number for TypeScript, as in the table.
const RedirectCode: z.ZodType<number> = numeric(z.literal([301, 302, 303, 307, 308]));

/** A position beyond the end is the end. */
export const END = 2_147_483_647;

const redirects = {
  redirect_url: attribute(Url, null),
  redirect_prefix: attribute(Url, null),
  redirect_http_code: attribute(RedirectCode, null),
};
const mutable = {
  ...described,
  ...redirects,
  action: mandatory(Action),
  position: attribute(integer(1), END),
};

/** Attributes of a policy inside the POST of a load balancer; its pool comes as `redirect_pool` there. */
export const nestedL7Policy = { ...project, ...onPost(mutable) };
/** Body of `POST /l7policies` (contract A13). */
export const L7PolicyPost = z.strictObject({
  ...nestedL7Policy,
  redirect_pool_id: optional(Uuid),
  listener_id: Uuid,
});
/** Body of `PUT /l7policies/{id}`. */
export const L7PolicyPut = z.strictObject({
  ...onPut(mutable),
  redirect_pool_id: attribute(Uuid, null).put,
});

type Target = 'redirect_pool_id' | 'redirect_url' | 'redirect_prefix';
export type Redirect = Pick<L7PolicyNode, 'action'> &
  Record<Target, string | null> & { redirect_http_code: number | null };

const TARGETS: Record<L7PolicyNode['action'], Target | undefined> = {
  REJECT: undefined,
  REDIRECT_TO_POOL: 'redirect_pool_id',
  REDIRECT_TO_URL: 'redirect_url',
  REDIRECT_PREFIX: 'redirect_prefix',
};

/** What a PUT makes of a policy: a target without an action says which action is meant. */
export function mergeRedirect(stored: Redirect, given: Partial<Redirect>): Redirect {
  const meant = Action.options.find((action) => {
    const target = TARGETS[action];
    return target !== undefined && given[target];
  });
  return completeRedirect({ ...stored, ...given, action: given.action ?? meant ?? stored.action });
}

/**
 * A redirect with the target of its action and no other.
 * @throws Fault 400 when the target is missing
 */
export function completeRedirect({ action, redirect_http_code, ...targets }: Redirect): Redirect {
  const target = TARGETS[action];
  const none = { redirect_pool_id: null, redirect_url: null, redirect_prefix: null };
  if (target === undefined) return { action, ...none, redirect_http_code };
  if (targets[target] === null) throw badRequest(`A policy with action ${action} needs ${target}.`);
  return {
    action,
    ...none,
    [target]: targets[target],
    redirect_http_code: target === 'redirect_pool_id' ? null : (redirect_http_code ?? 302),
  };
}

/** @throws Fault 400 or 501 when requests of such a listener cannot be looked into */
export function checkPolicyListener(protocol: ListenerProtocol): void {
  if (protocol === 'HTTP' || protocol === 'TERMINATED_HTTPS') return;
  const text = `A listener of protocol ${protocol} takes no L7 policies.`;
  throw protocol === 'PROMETHEUS' ? badRequest(text) : notImplemented(text);
}
