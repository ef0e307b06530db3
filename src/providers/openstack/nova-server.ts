import * as z from 'zod';
import { type AmphoraeError, PlacementError, TerminalError, toErrorRecord } from '../../model/errors.ts';
import type { Server, ServerState } from '../compute.ts';

/** A server as Nova answers it; `OS-EXT-*` may be missing for accounts without admin rights. */
export const NovaServer = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  metadata: z.record(z.string(), z.string()).default({}),
  image: z.union([z.object({ id: z.string() }), z.literal('')]).optional(),
  fault: z.object({ message: z.string() }).optional(),
  'OS-EXT-AZ:availability_zone': z.string().optional(),
  'OS-EXT-STS:task_state': z.string().nullish(),
});
export type NovaServer = z.output<typeof NovaServer>;

/** Everything else (SHUTOFF, PAUSED, ...) is a server that somebody else has taken out of service. */
const states: Record<string, ServerState> = { ACTIVE: 'ACTIVE', BUILD: 'BUILD', REBOOT: 'BUILD' };

/** Nova keeps these for a while after a server is gone. */
export const isGone = ({ status }: NovaServer) => status === 'DELETED' || status === 'SOFT_DELETED';

export function describeServer(
  server: NovaServer,
  known: { managementAddress?: string | undefined; computeFlavor?: string | undefined } = {},
): Server {
  const state = states[server.status] ?? 'ERROR';
  return {
    id: server.id,
    name: server.name,
    state,
    ...known,
    ...(state === 'ERROR' && { fault: toErrorRecord(faultOf(server)) }),
    zone: server['OS-EXT-AZ:availability_zone'] || undefined,
    imageId: server.image ? server.image.id : undefined,
  };
}

/** Why a server is in ERROR. Nova says it in words only. */
export function faultOf({ status, fault, name }: NovaServer): AmphoraeError {
  const said = fault?.message.trim() ?? `its status is ${status}`;
  const words = `nova: ${said} (server ${name})`;
  if (/No valid host was found|Exhausted all hosts|not enough hosts/i.test(said)) {
    return new PlacementError(
      'no_valid_host',
      `no host satisfies the compute flavor, the availability zone, anti-affinity and the VFs asked for; ${words}`,
    );
  }
  if (/PCI|virtual function/i.test(said)) return new PlacementError('no_vf_left', `no VF is left; ${words}`);
  if (/quota/i.test(said)) return new PlacementError('quota_exceeded', words);
  if (/binding failed|PortBindingFailed/i.test(said)) {
    return new PlacementError('port_binding_failed', `no agent could bind the port; ${words}`);
  }
  return new TerminalError('server_failed', words);
}
