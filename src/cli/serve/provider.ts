import type { Config } from '../../config.ts';
import type { CertificateAuthority } from '../../effects/certificate-authority.ts';
import type { NetworkAdmin } from '../../providers/netns/networks.ts';
import type { Provider } from '../../providers/provider.ts';
import type { Db } from '../../store/database.ts';

/** Long enough that no process outlives it; the next one has a new certificate. */
const CONTROLLER_CERTIFICATE_DAYS = 365;

interface Parts {
  config: Config;
  db: Db;
  authority: CertificateAuthority;
}

/** The provider that the configuration names. Only its code is loaded. */
export async function openProvider({ config, db, authority }: Parts): Promise<{
  provider: Provider;
  networks?: NetworkAdmin;
}> {
  if (config.provider === 'noop') {
    const { createNoopProvider } = await import('../../providers/noop/provider.ts');
    return { provider: createNoopProvider({ failures: config.noop_fail }) };
  }
  const { createNetnsProvider } = await import('../../providers/netns/provider.ts');
  const { createAgentClient } = await import('../../amphora-api/undici-client.ts');
  const { certificate, privateKey } = await authority.issueForController(CONTROLLER_CERTIFICATE_DAYS);
  const agent = createAgentClient({
    ca: authority.certificate,
    cert: certificate,
    key: privateKey,
    requestSeconds: config.agent_request_seconds,
  });
  const provider = createNetnsProvider({ db, config, agent });
  await provider.restore();
  return { provider, networks: provider.networks };
}
