import type { AgentClient } from '../../amphora-api/client.ts';
import type { Pace, Provider } from '../provider.ts';
import { OpenstackImages } from './glance.ts';
import { OpenstackNetwork } from './neutron.ts';
import { type NovaOptions, OpenstackCompute } from './nova.ts';
import { OpenstackProfiles } from './profiles.ts';
import { OpenstackSecurityGroups } from './security-groups.ts';
import { ServerGroups } from './server-groups.ts';
import { type CloudOptions, openServices, type Services } from './services.ts';

/** Nova plugs ports one after the other, each in up to ten seconds, and waits a minute for a host that is dead. */
const PACE: Pace = { bootLookMs: 2_000, plugMs: 180_000 };

export interface OpenstackOptions extends NovaOptions, CloudOptions {
  /** Project whose images are used; default: any. */
  imageOwner: string | undefined;
  /** `anti-affinity` or `soft-anti-affinity` */
  antiAffinityPolicy: string;
  /** Whether the kernel of the amphora image has IPVS; the cloud cannot tell. */
  lvs: boolean;
}

/**
 * Amphorae as servers of an OpenStack cloud.
 * @param parts.agent speaks to the agents
 * @param parts.services closed together with the provider, like the agent
 */
export function createOpenstackProvider(parts: {
  options: OpenstackOptions;
  agent: AgentClient;
  services?: Services;
}): Provider {
  const { options, agent, services = openServices(options) } = parts;
  const { neutron, nova, glance, close } = services;
  const network = new OpenstackNetwork(neutron);
  const images = new OpenstackImages(glance, options.imageOwner);
  return {
    name: 'openstack',
    network,
    compute: new OpenstackCompute({
      nova,
      network,
      images,
      groups: new ServerGroups(nova, options.antiAffinityPolicy),
      options,
    }),
    profiles: new OpenstackProfiles({ nova, images, network }),
    securityGroups: new OpenstackSecurityGroups(neutron),
    lvs: async () => options.lvs,
    pace: PACE,
    agent,
    async close() {
      await Promise.all([agent.close(), close()]);
    },
  };
}
