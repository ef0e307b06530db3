import type { AgentClient, AgentTarget } from '../amphora-api/client.ts';
import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import type { AmphoraNode, LoadBalancerGraph } from '../model/graph.ts';
import { haproxyListeners } from '../render/desired.ts';
import { renderHaproxy } from '../render/haproxy.ts';
import { renderKeepalived } from '../render/keepalived.ts';
import { renderCertificateLists, type TlsFiles } from '../render/tls-files.ts';
import { noteUnreadableListeners } from '../store/unreadable-listeners.ts';
import type { Configured } from './configured.ts';
import { agentOf, type EffectDependencies, requireAmphora } from './dependencies.ts';
import { pushCertificates } from './push-certificates.ts';
import { pushLvs } from './push-lvs.ts';
import { readTlsMaterial } from './tls-material.ts';

/**
 * Bring haproxy, and keepalived in a pair, to the load balancer as it is stored now. A listener whose TLS material cannot be
 * read is left out and becomes ERROR; the others go on (contract B3).
 */
export function pushConfig({ db, provider, secrets, config }: EffectDependencies, configured: Configured) {
  return async (
    reference: EffectInput<'pushConfig'>,
    context: EffectContext,
  ): Promise<EffectOutput<'pushConfig'>> => {
    const { graph, amphora } = await requireAmphora(db, reference);
    const { agent } = provider;
    const target = agentOf(amphora, context);
    const { files, unreadable } = await readTlsMaterial(graph, secrets);
    const listeners = graph.listeners.filter(({ id }) => !unreadable.has(id));
    await pushHaproxy(agent, target, { ...graph, listeners }, amphora, {
      files,
      logConnections: config.connection_logging,
      ownMachine: provider.name === 'openstack',
    });
    await pushLvs(agent, target, graph);
    const keepalived = renderKeepalived(graph, amphora);
    if (keepalived !== undefined) {
      await agent.uploadKeepalived(target, keepalived);
      await agent.reloadKeepalived(target);
    }
    const failedBefore = haproxyListeners(graph).some(
      ({ provisioningStatus }) => provisioningStatus === 'ERROR',
    );
    if (unreadable.size > 0 || failedBefore) await noteUnreadableListeners(db, graph, unreadable);
    configured.note(context.epoch, { graph, amphora });
    return { revision: graph.revision };
  };
}

/**
 * Bring haproxy alone to a load balancer whose TLS material has been read. Without a listener there is no haproxy.
 * @param options ownMachine: the amphora is one, whose CPUs and memory are haproxy's; others are asked for neither
 */
export async function pushHaproxy(
  agent: AgentClient,
  target: AgentTarget,
  graph: LoadBalancerGraph,
  amphora: AmphoraNode,
  { files, logConnections, ownMachine }: { files: TlsFiles; logConnections: boolean; ownMachine: boolean },
): Promise<void> {
  const details = ownMachine && haproxyListeners(graph).length > 0 ? await agent.details(target) : undefined;
  const config = renderHaproxy(graph, amphora, files, {
    logConnections,
    ...(details && { machine: details, memory: details.memory }),
  });
  if (config === undefined) return agent.deleteHaproxy(target, graph.id);
  const removeUnused = await pushCertificates(
    agent,
    target,
    graph.id,
    new Map([...files.contents, ...renderCertificateLists(graph, files)]),
  );
  const { inForce } = await agent.uploadHaproxy(target, graph.id, config);
  if (!inForce) await agent.reloadHaproxy(target, graph.id);
  await removeUnused();
}
