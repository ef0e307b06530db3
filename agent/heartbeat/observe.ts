import type { Haproxies } from '../haproxy/haproxies.ts';
import type { Keepalived } from '../keepalived/keepalived.ts';
import type { Deltas } from './deltas.ts';
import { readStatistics } from './haproxy-report.ts';
import type { Observe } from './heartbeats.ts';

interface Observed {
  haproxies: Pick<Haproxies, 'statistics'>;
  keepalived: Pick<Keepalived, 'isSound'>;
  deltas: Deltas;
}

/**
 * What this amphora's haproxies do. A keepalived that should run and does not keeps the amphora silent (contract C7): it
 * cannot take the VIPs.
 */
export function observeAmphora({ haproxies, keepalived, deltas }: Observed): Observe {
  return async () => {
    if (!(await keepalived.isSound())) return undefined;
    const reports = (await haproxies.statistics()).map(({ worker, csv }) => ({
      worker,
      ...readStatistics(csv),
    }));
    return {
      listeners: await deltas.take(reports),
      pools: Object.assign({}, ...reports.map(({ pools }) => pools)),
    };
  };
}
