import type { ErrorRecord } from '../model/errors.ts';
import type { Call } from './call.ts';

export type ServerState = 'BUILD' | 'ACTIVE' | 'ERROR';

export interface Server {
  id: string;
  name: string;
  state: ServerState;
  /** Address of the agent on the management network; absent until the server has one. */
  managementAddress?: string | undefined;
  /** Why `state` is ERROR; ends with the provider's own words. */
  fault?: ErrorRecord | undefined;
  zone?: string | undefined;
  imageId?: string | undefined;
  computeFlavor?: string | undefined;
}

/**
 * The one of a server's files that its provider may complete: JSON settings of the agent, to which `netns` adds
 * `bind_address`.
 */
export const AGENT_SETTINGS_FILE = '/etc/octavia/amphora-agent.json';

export interface ServerSpec {
  /** Deterministic (`amphora-<amphora id>`): a second `create` with it finds the server of the first. */
  name: string;
  amphoraId: string;
  loadBalancerId: string;
  computeFlavor?: string | undefined;
  imageTag?: string | undefined;
  zone?: string | undefined;
  /** Instead of the provider's own choice. */
  managementNetwork?: string | undefined;
  /** Servers of one group run on different hosts; made with its first server. */
  antiAffinityGroup?: string | undefined;
  /** Ports the server boots with, so that the scheduler sees the demand for VFs before it chooses a host. */
  portIds: string[];
  /** Absolute path in the amphora -> content. Called only when a server is really made (issues the certificate). */
  files(): Promise<Record<string, string>>;
}

/**
 * Where amphorae run. Every verb is idempotent and throws only classified errors (`src/model/errors.ts`):
 * PlacementError when no host or no VF is left, TransientError when a retry may help, TerminalError otherwise.
 */
export interface Compute {
  /** Start a server, or find the one of that name. Returns as soon as it is accepted (state BUILD or ACTIVE). */
  create(spec: ServerSpec, call: Call): Promise<Server>;
  /** The server, or undefined when there is none of that id. */
  status(serverId: string, call: Call): Promise<Server | undefined>;
  /**
   * Plug a port into a running server. A port that is already in this server is success.
   * @throws PlacementError when the server's host has no VF for it
   */
  attachPort(serverId: string, portId: string, call: Call): Promise<void>;
  /** Unplug a port; success when it is not plugged. The port itself stays. */
  detachPort(serverId: string, portId: string, call: Call): Promise<void>;
  /** Remove the server and all it runs; resolves when it is gone. Unknown ids are success. */
  delete(serverId: string, call: Call): Promise<void>;
  /** All servers that Amphorae made here; with `name`, the one of that name. */
  list(filter: { name?: string }, call: Call): Promise<Server[]>;
  /** Names of the groups that there are, ours and others. */
  listAntiAffinityGroups?(call: Call): Promise<string[]>;
  /** Forget a group; success when there is none. Absent where servers cannot be kept apart. */
  deleteAntiAffinityGroup?(name: string, call: Call): Promise<void>;
}
