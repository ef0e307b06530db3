import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import type { AmphoraNode, LoadBalancerGraph } from '../model/graph.ts';
import { AGENT_SETTINGS_FILE } from '../providers/compute.ts';
import { agentSettings, CLIENT_AUTHORITY, SERVER_CERTIFICATE } from './agent-settings.ts';
import { type EffectDependencies, type HeartbeatSettings, requireAmphora } from './dependencies.ts';
import { serverGroupName, serverName } from './names.ts';
import { ensureBasePort } from './vip-plug.ts';

/**
 * Start the amphora's server. When its VIP port is a VF, the port is made first and the server boots with it: so the
 * scheduler chooses a host that has one, and a lack of VFs is found before a server exists.
 */
export function placeServer({ db, provider, authority, config, heartbeat }: EffectDependencies) {
  return async (
    reference: EffectInput<'placeServer'>,
    context: EffectContext,
  ): Promise<EffectOutput<'placeServer'>> => {
    const { graph, amphora } = await requireAmphora(db, reference);
    const portIds =
      graph.vipVnicType === 'direct' && config.vip_port_at_boot
        ? [(await ensureBasePort(provider, graph, amphora, context)).id]
        : [];
    let certExpiration: string | null = null;
    const server = await provider.compute.create(
      {
        name: serverName(amphora.id),
        amphoraId: amphora.id,
        loadBalancerId: graph.id,
        computeFlavor: graph.flavor.compute_flavor,
        imageTag: graph.flavor.amp_image_tag,
        zone: graph.availabilityZone.compute_zone,
        managementNetwork: graph.availabilityZone.management_network,
        antiAffinityGroup:
          graph.topology === 'ACTIVE_STANDBY' && config.anti_affinity !== 'none'
            ? serverGroupName(graph.id)
            : undefined,
        portIds,
        files: async () => {
          const issued = await authority.issueForAmphora(amphora.id, config.certificate_days);
          certExpiration = issued.expires.toISOString();
          return amphoraFiles(
            graph,
            amphora,
            `${issued.certificate}\n${issued.privateKey}\n`,
            authority.certificate,
            heartbeat,
          );
        },
      },
      context,
    );
    return {
      computeId: server.id,
      certExpiration,
      zone: server.zone ?? null,
      imageId: server.imageId ?? null,
      computeFlavor: server.computeFlavor ?? null,
    };
  };
}

/** What an amphora knows when it boots (contract F3): who it is, whom it obeys, and how it proves itself. */
function amphoraFiles(
  graph: LoadBalancerGraph,
  amphora: AmphoraNode,
  serverPem: string,
  clientCa: string,
  heartbeat: HeartbeatSettings | undefined,
): Record<string, string> {
  return {
    [SERVER_CERTIFICATE]: serverPem,
    [CLIENT_AUTHORITY]: clientCa,
    [AGENT_SETTINGS_FILE]: agentSettings(graph, amphora, heartbeat),
  };
}
