import { Agent } from 'undici';
import type { AgentClient } from '../../amphora-api/client.ts';
import type { ServiceAccount } from '../../keystone/account.ts';
import type { Facing } from '../../keystone/catalog.ts';
import { KeystoneSession } from '../../keystone/session.ts';
import type { Provider } from '../provider.ts';
import { OpenstackImages } from './glance.ts';
import { OpenstackNetwork } from './neutron.ts';
import { COMPUTE_API, type NovaOptions, OpenstackCompute } from './nova.ts';
import { OpenstackSecurityGroups } from './security-groups.ts';
import { ServerGroups } from './server-groups.ts';
import { Service, type ServiceCall } from './service.ts';

export interface OpenstackOptions extends NovaOptions {
  account: ServiceAccount;
  facing: Facing;
  /** Project whose images are used; default: any. */
  imageOwner: string | undefined;
  /** `anti-affinity` or `soft-anti-affinity` */
  antiAffinityPolicy: string;
  /** Whether the kernel of the amphora image has IPVS; the cloud cannot tell. */
  lvs: boolean;
  /** Told of every call to a service. */
  onCall?: (call: ServiceCall) => void;
}

/** Connections kept to each service; Nova and Neutron serve few requests at once. */
const CONNECTIONS = 16;
const CONNECT_MS = 10_000;
/** Nova plugs a port before it answers, and its own limit is 60 s. */
const ANSWER_MS = 120_000;

/**
 * Amphorae as servers of an OpenStack cloud.
 * @param parts.agent speaks to the agents; closed together with the provider.
 */
export function createOpenstackProvider(parts: { options: OpenstackOptions; agent: AgentClient }): Provider {
  const { options, agent } = parts;
  const dispatcher = new Agent({
    connections: CONNECTIONS,
    headersTimeout: ANSWER_MS,
    bodyTimeout: ANSWER_MS,
    connect: {
      timeout: CONNECT_MS,
      ...(options.account.ca && { ca: options.account.ca }),
    },
  });
  const session = new KeystoneSession(options.account, dispatcher);
  const common = { session, facing: options.facing, dispatcher, onCall: options.onCall };
  const neutron = new Service({ ...common, name: 'neutron', types: ['network'], base: '/v2.0' });
  const nova = new Service({
    ...common,
    name: 'nova',
    types: ['compute'],
    headers: { 'openstack-api-version': COMPUTE_API },
  });
  const glance = new Service({ ...common, name: 'glance', types: ['image'], base: '/v2' });
  const network = new OpenstackNetwork(neutron);
  return {
    name: 'openstack',
    network,
    compute: new OpenstackCompute({
      nova,
      network,
      images: new OpenstackImages(glance, options.imageOwner),
      groups: new ServerGroups(nova, options.antiAffinityPolicy),
      options,
    }),
    securityGroups: new OpenstackSecurityGroups(neutron),
    lvs: async () => options.lvs,
    agent,
    // The image decides, and ours has it.
    async close() {
      await Promise.all([agent.close(), dispatcher.close()]);
    },
  };
}
