import type { AmphoraDetails } from '../../src/amphora-api/info.ts';
import type { Route } from '../app.ts';
import type { Certificates } from '../certificates.ts';
import type { Haproxies } from '../haproxy/haproxies.ts';
import type { Interfaces } from '../interfaces/interfaces.ts';
import type { Keepalived } from '../keepalived/keepalived.ts';
import type { Lvs } from '../lvs/lvs.ts';
import type { Namespace } from '../namespace.ts';
import type { Firewall } from '../nftables/firewall.ts';
import type { AgentSettings } from '../settings.ts';
import type { Versions } from '../versions.ts';
import { certificateRoutes } from './certificates.ts';
import { type ConfigParts, configRoutes } from './config.ts';
import { haproxyRoutes } from './haproxy.ts';
import { interfaceRoutes } from './interfaces.ts';
import { keepalivedRoutes } from './keepalived.ts';
import { lvsRoutes } from './listeners-udp.ts';
import { ownCertificateRoutes } from './own-certificate.ts';
import { securityGroupRoutes } from './security-group.ts';

/** What the endpoints speak for. */
export interface RouteParts {
  settings: Pick<AgentSettings, 'server_cert' | 'amphora_id'>;
  config: ConfigParts;
  versions: Versions;
  details(): Promise<AmphoraDetails>;
  namespace: Namespace;
  interfaces: Interfaces;
  firewall: Firewall;
  haproxies: Haproxies;
  lvs: Lvs;
  keepalived: Keepalived;
  certificates: Certificates;
  /** Serve with this certificate and key from now on. */
  setCertificate(pem: string): void;
}

/** All endpoints of the agent, each described in docs/agent-api.md. */
export function agentRoutes(parts: RouteParts): Route[] {
  const { versions, namespace, interfaces, firewall, haproxies, lvs, keepalived, certificates } = parts;
  return [
    ['GET', '/', (context) => context.json({ api_version: '1.0' })],
    ['GET', '/1.0/info', async (context) => context.json(await versions.info())],
    ['GET', '/1.0/details', async (context) => context.json(await parts.details())],
    ...interfaceRoutes(interfaces),
    ...securityGroupRoutes(firewall, interfaces, namespace),
    ...lvsRoutes(lvs, haproxies, interfaces),
    ...haproxyRoutes(haproxies, certificates, interfaces),
    ...keepalivedRoutes(keepalived),
    ...certificateRoutes(certificates, haproxies),
    ...ownCertificateRoutes(parts.settings, (pem) => parts.setCertificate(pem)),
    ...configRoutes(parts.config),
  ];
}
