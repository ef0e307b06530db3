import type { AgentTarget } from '../amphora-api/client.ts';
import type { Config } from '../config.ts';
import type { AmphoraRef } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { TerminalError, TransientError } from '../model/errors.ts';
import type { AmphoraNode, LoadBalancerGraph } from '../model/graph.ts';
import type { Provider } from '../providers/provider.ts';
import type { SecretStore } from '../secrets/secret-store.ts';
import type { Db } from '../store/database.ts';
import { loadGraph } from '../store/load-balancer-graph.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import type { AmphoraInGraph } from './configured.ts';

/** Where and how often an amphora reports, and what it signs that with. */
export interface HeartbeatSettings {
  /** `address:port` of each. */
  controllers: string[];
  key: string;
  interval_seconds: number;
}

/** What effects are made of. */
export interface EffectDependencies {
  db: Db;
  provider: Provider;
  authority: CertificateAuthority;
  /** What amphorae are told about heartbeats; undefined: they send none. */
  heartbeat: HeartbeatSettings | undefined;
  secrets: SecretStore;
  config: Config;
}

/** @throws TerminalError `not_found` when the load balancer is gone: there is nothing to work for any more. */
export async function requireGraph(db: Db, loadBalancerId: string): Promise<LoadBalancerGraph> {
  const graph = await loadGraph(db, loadBalancerId);
  if (!graph) throw new TerminalError('not_found', `load balancer ${loadBalancerId} does not exist any more`);
  return graph;
}

/** The load balancer and the amphora in it. */
export async function requireAmphora(
  db: Db,
  { loadBalancerId, amphoraId }: AmphoraRef,
): Promise<AmphoraInGraph> {
  const graph = await requireGraph(db, loadBalancerId);
  const amphora = graph.amphorae.find(({ id }) => id === amphoraId);
  if (!amphora) throw new TerminalError('not_found', `amphora ${amphoraId} does not exist any more`);
  return { graph, amphora };
}

/** Where the agent of an amphora is, and with which authority it is called. */
export function agentOf(amphora: AmphoraNode, { epoch, signal }: EffectContext): AgentTarget {
  if (!amphora.managementAddress) {
    throw new TransientError('no_management_address', `amphora ${amphora.id} has no management address yet`);
  }
  return { amphoraId: amphora.id, address: amphora.managementAddress, epoch, signal };
}
