import type { TlsVersion } from '../model/graph.ts';
import type { Api } from './api.ts';
import type { HealthMonitorLimits } from './schemas/health-monitor.ts';
import type { ListenerLimits } from './schemas/listener.ts';
import type { TlsLimits } from './schemas/tls.ts';

/** What the operator allows of TLS. */
export function tlsLimits({ config }: Pick<Api, 'config'>): TlsLimits {
  return {
    prohibitedCiphers: config.tls_cipher_prohibit_list,
    minimumVersion: (config.minimum_tls_version || undefined) as TlsVersion | undefined,
  };
}

/** What the operator allows listeners to be, and the amphorae can. */
export async function listenerLimits(api: Pick<Api, 'config' | 'lvs'>): Promise<ListenerLimits> {
  return {
    lvs: (await api.lvs?.()) ?? false,
    tlsTermination: api.config.allow_tls_terminated_listeners,
    prometheus: api.config.allow_prometheus_listeners,
    tls: tlsLimits(api),
  };
}

/** What the operator allows health monitors to be. */
export function healthMonitorLimits({ config }: Pick<Api, 'config'>): HealthMonitorLimits {
  return { ping: config.allow_ping_health_monitors };
}
