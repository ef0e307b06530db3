import type { AgentTarget } from '../amphora-api/client.ts';
import type { Config } from '../config.ts';
import type { AmphoraRef } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { TerminalError, TransientError } from '../model/errors.ts';
import type { AmphoraNode, LoadBalancerGraph, LoadBalancerTrunk } from '../model/graph.ts';
import type { Provider } from '../providers/provider.ts';
import type { SecretStore } from '../secrets/secret-store.ts';
import type { Db } from '../store/database.ts';
import { loadGraph, loadTrunk } from '../store/load-balancer-graph.ts';
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
  return (await loadGraph(db, loadBalancerId)) ?? gone('load balancer', loadBalancerId);
}

/** The same without its listeners and pools. */
export async function requireTrunk(db: Db, loadBalancerId: string): Promise<LoadBalancerTrunk> {
  return (await loadTrunk(db, loadBalancerId)) ?? gone('load balancer', loadBalancerId);
}

/** The load balancer and the amphora in it. */
export async function requireAmphora(
  db: Db,
  { loadBalancerId, amphoraId }: AmphoraRef,
): Promise<AmphoraInGraph> {
  const graph = await requireGraph(db, loadBalancerId);
  return { graph, amphora: amphoraIn(graph, amphoraId) };
}

/** @throws TerminalError `not_found` */
export function amphoraIn({ amphorae }: LoadBalancerTrunk, amphoraId: string): AmphoraNode {
  return amphorae.find(({ id }) => id === amphoraId) ?? gone('amphora', amphoraId);
}

function gone(what: string, id: string): never {
  throw new TerminalError('not_found', `${what} ${id} does not exist any more`);
}

/** Where the agent of an amphora is, and with which authority it is called. */
export function agentOf(amphora: AmphoraNode, { epoch, signal }: EffectContext): AgentTarget {
  if (!amphora.managementAddress) {
    throw new TransientError('no_management_address', `amphora ${amphora.id} has no management address yet`);
  }
  return { amphoraId: amphora.id, address: amphora.managementAddress, epoch, signal };
}
