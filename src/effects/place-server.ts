import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import type { AmphoraNode, LoadBalancerTrunk } from '../model/graph.ts';
import { AGENT_SETTINGS_FILE } from '../providers/compute.ts';
import { agentSettings, CLIENT_AUTHORITY, SERVER_CERTIFICATE } from './agent-settings.ts';
import {
  amphoraIn,
  type EffectDependencies,
  type HeartbeatSettings,
  requireAmphora,
  requireTrunk,
} from './dependencies.ts';
import { serverGroupName, serverName } from './names.ts';
import { ensureBasePort } from './vip-plug.ts';

/**
 * Start the amphora's server. When its VIP port is a VF, the port is made first and the server boots with it: so the
 * scheduler chooses a host that has one, and a lack of VFs is found before a server exists.
 */
export function placeServer({ db, provider, authority, config, heartbeat }: EffectDependencies) {
  const basePort = async (reference: EffectInput<'placeServer'>, context: EffectContext) => {
    const { graph, amphora } = await requireAmphora(db, reference);
    return (await ensureBasePort(provider, graph, amphora, context)).id;
  };
  return async (
    reference: EffectInput<'placeServer'>,
    context: EffectContext,
  ): Promise<EffectOutput<'placeServer'>> => {
    const trunk = await requireTrunk(db, reference.loadBalancerId);
    const amphora = amphoraIn(trunk, reference.amphoraId);
    const portIds =
      trunk.vipVnicType === 'direct' && config.vip_port_at_boot ? [await basePort(reference, context)] : [];
    let certExpiration: string | null = null;
    const server = await provider.compute.create(
      {
        name: serverName(amphora.id),
        amphoraId: amphora.id,
        loadBalancerId: trunk.id,
        computeFlavor: trunk.flavor.compute_flavor,
        imageTag: trunk.flavor.amp_image_tag,
        zone: trunk.availabilityZone.compute_zone,
        managementNetwork: trunk.availabilityZone.management_network,
        antiAffinityGroup:
          trunk.topology === 'ACTIVE_STANDBY' && config.anti_affinity !== 'none'
            ? serverGroupName(trunk.id)
            : undefined,
        portIds,
        files: async () => {
          const issued = await authority.issueForAmphora(amphora.id, config.certificate_days);
          certExpiration = issued.expires.toISOString();
          return amphoraFiles(
            trunk,
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
  trunk: LoadBalancerTrunk,
  amphora: AmphoraNode,
  serverPem: string,
  clientCa: string,
  heartbeat: HeartbeatSettings | undefined,
): Record<string, string> {
  return {
    [SERVER_CERTIFICATE]: serverPem,
    [CLIENT_AUTHORITY]: clientCa,
    [AGENT_SETTINGS_FILE]: agentSettings(trunk, amphora, heartbeat),
  };
}
