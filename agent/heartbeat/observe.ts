import type { VrrpState } from '../../src/amphora-api/info.ts';
import type { Haproxies } from '../haproxy/haproxies.ts';
import type { Keepalived } from '../keepalived/keepalived.ts';
import type { Deltas } from './deltas.ts';
import { readStatistics } from './haproxy-report.ts';
import type { Observe } from './heartbeats.ts';

interface Observed {
  haproxies: Pick<Haproxies, 'statistics'>;
  keepalived: Pick<Keepalived, 'isSound'>;
  vrrpState: () => Promise<VrrpState | null>;
  deltas: Deltas;
}

/**
 * What this amphora's haproxies do. A keepalived that should run and does not keeps the amphora silent (contract C7): it
 * cannot take the VIPs.
 */
export function observeAmphora({ haproxies, keepalived, vrrpState, deltas }: Observed): Observe {
  return async () => {
    if (!(await keepalived.isSound())) return undefined;
    const reports = (await haproxies.statistics()).map(({ worker, csv }) => ({
      worker,
      ...readStatistics(csv),
    }));
    const vrrp_state = await vrrpState();
    return {
      ...(vrrp_state && { vrrp_state }),
      listeners: await deltas.take(reports),
      pools: Object.assign({}, ...reports.map(({ pools }) => pools)),
    };
  };
}
