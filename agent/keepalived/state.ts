import type { VrrpState } from '../../src/amphora-api/info.ts';
import type { Interfaces } from '../interfaces/interfaces.ts';
import type { Health } from './health.ts';
import type { Keepalived } from './keepalived.ts';

interface StateParts {
  keepalived: Pick<Keepalived, 'running'>;
  interfaces: Pick<Interfaces, 'holdVips'>;
  health: Pick<Health, 'healthy'>;
}

/**
 * This amphora's part in its pair; null when no keepalived runs. The kernel is asked who has the VIPs: it knows them
 * whatever configuration keepalived was given, and after a restart of the agent.
 */
export async function vrrpState({ keepalived, interfaces, health }: StateParts): Promise<VrrpState | null> {
  if (!keepalived.running) return null;
  if (!health.healthy) return 'FAULT';
  return (await interfaces.holdVips()) ? 'MASTER' : 'BACKUP';
}
