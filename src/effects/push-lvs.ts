import type { AgentClient, AgentTarget } from '../amphora-api/client.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import { lvsListeners, renderLvs } from '../render/lvs.ts';

/** Bring the UDP and SCTP listeners of an amphora to the load balancer as it is stored now. */
export async function pushLvs(
  agent: AgentClient,
  target: AgentTarget,
  graph: LoadBalancerGraph,
): Promise<void> {
  for (const listener of lvsListeners(graph)) {
    const config = renderLvs(graph, listener);
    if (config === undefined) {
      await agent.deleteLvs(target, listener.id);
    } else {
      await agent.uploadLvs(target, listener.id, config);
      await agent.reloadLvs(target, listener.id);
    }
  }
}
