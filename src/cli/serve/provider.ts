import type { Logger } from 'pino';
import type { AgentClient } from '../../amphora-api/client.ts';
import type { Config } from '../../config.ts';
import type { CertificateAuthority } from '../../effects/certificate-authority.ts';
import { TerminalError } from '../../model/errors.ts';
import type { NetworkAdmin } from '../../providers/netns/networks.ts';
import type { OpenstackOptions } from '../../providers/openstack/provider.ts';
import type { Provider } from '../../providers/provider.ts';
import type { Db } from '../../store/database.ts';
import { serviceAccount } from './service-account.ts';

/** Long enough that no process outlives it; the next one has a new certificate. */
const CONTROLLER_CERTIFICATE_DAYS = 365;

interface Parts {
  config: Config;
  db: Db;
  authority: CertificateAuthority;
  log: Logger;
}

/** What tests have instead of the real thing, where amphorae do not boot. */
interface Substitutes {
  agent?: AgentClient;
  onCall?: OpenstackOptions['onCall'];
}

export interface OpenedProvider {
  provider: Provider;
  /** Where networks are made here, and not by somebody else. */
  networks?: NetworkAdmin;
}

/** The provider that the configuration names. Only its code is loaded. */
export async function openProvider(
  { config, db, authority, log }: Parts,
  substitutes: Substitutes = {},
): Promise<OpenedProvider> {
  if (config.provider === 'noop') {
    const { createNoopProvider } = await import('../../providers/noop/provider.ts');
    return { provider: createNoopProvider({ failures: config.noop_fail, permissive: true }) };
  }
  const { createAgentClient } = await import('../../amphora-api/undici-client.ts');
  const { certificate, privateKey } = await authority.issueForController(CONTROLLER_CERTIFICATE_DAYS);
  const agent =
    substitutes.agent ??
    createAgentClient({
      ca: authority.certificate,
      cert: certificate,
      key: privateKey,
      requestSeconds: config.agent_request_seconds,
    });
  if (config.provider === 'openstack') {
    const { openCloud } = await import('./cloud.ts');
    const options = { ...openstackOptions(config, log), ...substitutes };
    return { provider: await openCloud({ options, agent, log }) };
  }
  const { createNetnsProvider } = await import('../../providers/netns/provider.ts');
  const provider = createNetnsProvider({ db, config, agent });
  await provider.restore();
  return { provider, networks: provider.networks };
}

/**
 * The settings of the openstack provider as it takes them.
 * @throws TerminalError `not_configured`
 */
export function openstackOptions(config: Config, log: Logger): OpenstackOptions {
  const missing = (['openstack_compute_flavor', 'openstack_management_networks'] as const).filter(
    (name) => config[name].length === 0,
  );
  if (missing.length > 0) {
    throw new TerminalError(
      'not_configured',
      `the openstack provider needs the settings ${missing.join(', ')}`,
    );
  }
  return {
    account: serviceAccount(config),
    facing: { interface: config.os_interface, region: config.os_region_name },
    computeFlavor: config.openstack_compute_flavor,
    imageTag: config.openstack_image_tag,
    imageOwner: config.openstack_image_owner || undefined,
    managementNetworks: config.openstack_management_networks,
    managementSecurityGroups: config.openstack_management_security_groups,
    zone: config.openstack_zone || undefined,
    keyName: config.openstack_key_name || undefined,
    antiAffinityPolicy: config.anti_affinity,
    lvs: config.openstack_lvs,
    onCall: (call) => log.debug(call, 'openstack call'),
  };
}
