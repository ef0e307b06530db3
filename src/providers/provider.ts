import type { AgentClient } from '../amphora-api/client.ts';
import type { Compute } from './compute.ts';
import type { Network } from './network.ts';
import type { Profiles } from './profiles.ts';
import type { SecurityGroups } from './security-groups.ts';

/** A place where load balancers can live: somewhere to run amphorae, something to plug them into. */
export interface Provider {
  name: 'noop' | 'netns' | 'openstack';
  compute: Compute;
  network: Network;
  pace: Pace;
  /** Absent where profiles refer to nothing that can be looked up. */
  profiles?: Profiles;
  /** Absent where nothing stands in front of an amphora's ports but its own firewall. */
  securityGroups?: SecurityGroups;
  /** How to speak to an amphora of this provider. `noop` answers itself; the others speak mutual TLS. */
  agent: AgentClient;
  /** This host's address on the amphorae's management network, where the provider knows it. */
  managementAddress?(): Promise<string>;
  /** Whether the kernel of its amphorae has IPVS, which UDP and SCTP listeners need. */
  lvs(): Promise<boolean>;
  close(): Promise<void>;
}

/** How fast a provider is, for those who wait for it. */
export interface Pace {
  /** A server that boots is looked at again after this long at most. */
  bootLookMs: number;
  /** What plugging ports may take besides the agent's part. */
  plugMs: number;
}
