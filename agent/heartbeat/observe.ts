import type { VrrpState } from '../../src/amphora-api/info.ts';
import type { Haproxies } from '../haproxy/haproxies.ts';
import type { Keepalived } from '../keepalived/keepalived.ts';
import type { Lvs } from '../lvs/lvs.ts';
import type { Deltas } from './deltas.ts';
import { readStatistics } from './haproxy-report.ts';
import type { Observe } from './heartbeats.ts';

interface Observed {
  haproxies: Pick<Haproxies, 'statistics'>;
  lvs: Pick<Lvs, 'reports'>;
  keepalived: Pick<Keepalived, 'isSound'>;
  vrrpState: () => Promise<VrrpState | null>;
  deltas: Deltas;
}

/** Counts for LVS, and is never replaced. */
const KERNEL = 0;

/**
 * What this amphora's haproxies and LVS do. A keepalived that should run and does not keeps the amphora silent (contract C7): it
 * cannot take the VIPs.
 */
export function observeAmphora({ haproxies, lvs, keepalived, vrrpState, deltas }: Observed): Observe {
  return async () => {
    if (!(await keepalived.isSound())) return undefined;
    const served = await haproxies.statistics();
    const reports = [
      ...served.map(({ worker, csv }) => ({ worker, ...readStatistics(csv) })),
      ...(await lvs.reports()).map((report) => ({ worker: KERNEL, ...report })),
    ];
    const vrrp_state = await vrrpState();
    return {
      ...(vrrp_state && { vrrp_state }),
      listeners: await deltas.take(reports),
      pools: Object.assign({}, ...reports.map(({ pools }) => pools)),
    };
  };
}
