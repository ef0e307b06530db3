import { and } from 'xstate';
import { command, excludeLate } from './load-balancer-actions.ts';
import { behind } from './load-balancer-context.ts';
import { loadBalancerSetup } from './load-balancer-setup.ts';

/** What is expected of amphorae in every state that waits for them. */
export const reports = {
  AMPHORA_PLUGGED: { guard: 'currentRound', actions: 'noteReport' },
  AMPHORA_CONFIGURED: { guard: 'currentRound', actions: 'noteReport' },
  AMPHORA_SYNCED: { guard: 'currentRound', actions: 'noteReport' },
} as const;

/**
 * Bring the ports of all participants, then their configuration and firewall, to what the rows say. Of a pair, the one that
 * is done waits for the other for a grace period only, and the load balancer goes on without that one.
 *
 * Then there is one more round, and only after it the change is called in force: it shuts the other one's firewall to the
 * excluded one, and makes it take the VIPs where the excluded one still has them (`src/render/keepalived.ts`).
 */
export function rounds(done: { target: string; actions: 'noteInForce' | ReturnType<typeof excludeLate> }) {
  const finish = [
    { target: 'configSync', guard: and(['allSynced', 'peersChanged']) },
    { ...done, guard: 'allSynced' as const },
  ];
  return loadBalancerSetup.createStateConfig({
    states: {
      memberPorts: {
        entry: ['beginPortPlug', 'beginRound', command((round) => ({ type: 'PLUG_PORTS', round }))],
        always: [
          { target: 'configSync', guard: 'allPlugged' },
          { target: 'portStraggler', guard: 'onePlugged' },
        ],
      },
      portStraggler: {
        after: { portGrace: { actions: excludeLate((context) => behind(context, 'plugged')) } },
        always: { target: 'configSync', guard: 'allPlugged' },
      },
      configSync: {
        entry: ['tellPeers', 'beginRound', command((round) => ({ type: 'SYNC', round }))],
        always: [
          { target: 'firewallSync', guard: 'allConfigured' },
          { target: 'syncStraggler', guard: 'oneSynced' },
        ],
      },
      firewallSync: { always: [...finish, { target: 'syncStraggler', guard: 'oneSynced' }] },
      syncStraggler: {
        after: { syncGrace: { actions: excludeLate((context) => behind(context, 'synced')) } },
        always: finish,
      },
    },
  }).states;
}
