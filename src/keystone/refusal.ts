import * as z from 'zod';
import { type AmphoraeError, PlacementError, TerminalError, TransientError } from '../model/errors.ts';

/** What a service said when it did not do what it was asked. */
export interface Refusal {
  service: string;
  purpose: string;
  status: number;
  /** Neutron's name of the error: `IpAddressAlreadyAllocated`, `OverQuota`, ... */
  type: string | undefined;
  /** The service's own words. */
  said: string;
  requestId: string | undefined;
}

/** Neutron: `{"NeutronError": {"type", "message"}}`; the others: `{"<kind of fault>": {"code", "message"}}`. */
const ErrorBody = z.record(z.string(), z.object({ type: z.string().optional(), message: z.string() }));
/** Keystone's middleware and some proxies: `{"message": "..."}`. */
const PlainBody = z.object({ message: z.string() });

export function refusalOf(
  service: string,
  purpose: string,
  answer: { status: number; body: unknown; requestId: string | undefined },
): Refusal {
  const { status, body, requestId } = answer;
  const plain = PlainBody.safeParse(body).data;
  const [named] = Object.values(ErrorBody.safeParse(body).data ?? {});
  const said = (plain ?? named)?.message ?? 'no reason given';
  return { service, purpose, status, type: named?.type, said: said.trim(), requestId };
}

/** The words for an operator: who refused what, why, and where to look it up. */
export function describeRefusal({ service, purpose, status, said, requestId }: Refusal): string {
  return `${service} refused to ${purpose} (${status}${requestId ? `, request ${requestId}` : ''}): ${said}`;
}

/** What a refusal means wherever it happens. */
export function classifyRefusal(refusal: Refusal): AmphoraeError {
  const { service, status, type, said } = refusal;
  const words = describeRefusal(refusal);
  if (type === 'OverQuota' || /quota exceeded/i.test(said)) {
    return new PlacementError('quota_exceeded', `${words}; raise the quota of the service project`);
  }
  if (type === 'IpAddressGenerationFailure') return new PlacementError('no_address_left', words);
  if (type === 'IpAddressAlreadyAllocated' || type === 'IpAddressInUse') {
    return new TerminalError('address_in_use', words);
  }
  if (type === 'InvalidIpForSubnet' || type === 'InvalidIpForNetwork') {
    return new TerminalError('invalid_address', words);
  }
  switch (status) {
    case 401:
      return new TerminalError('openstack_unauthorized', `${words}; check the service account`);
    case 403:
      return new TerminalError(
        'openstack_forbidden',
        `${words}; the service account lacks a role in ${service}`,
      );
    case 404:
      return new TerminalError('not_found', words);
    case 409:
      return new TerminalError('openstack_conflict', words);
    case 429:
      return new TransientError('openstack_busy', words);
    default:
      return status >= 500
        ? new TransientError('openstack_failed', words)
        : new TerminalError('openstack_refused', words);
  }
}
