import { and, assign } from 'xstate';
import {
  command,
  excludeFailed,
  expired,
  failedEffect,
  failedReport,
  newcomers,
  releaseOnly,
  rows,
  spawn,
} from './load-balancer-actions.ts';
import { replaced, replacement } from './load-balancer-context.ts';
import { reports } from './load-balancer-rounds.ts';
import { loadBalancerSetup } from './load-balancer-setup.ts';

/**
 * New amphorae take the place of old ones, one at a time: the new one is made and brought up to date before the old one
 * goes. A replacement that fails is given back, and what works goes on working.
 */
export const failingOver = loadBalancerSetup.createStateConfig({
  initial: 'allocatingVip',
  on: {
    CHANGED: { actions: 'acceptChange' },
    ...reports,
    AMPHORA_FAILED: [
      { target: '.abandoning', guard: 'replacementFailed', actions: failedReport() },
      // One of the others: very likely the one that is to be replaced next.
      { guard: 'currentRound', actions: 'noteReport' },
    ],
    AMPHORA_RELEASED: { actions: 'noteReport' },
    AMPHORA_RELEASE_FAILED: { target: '#load-balancer.ERROR', actions: failedReport() },
  },
  states: {
    allocatingVip: {
      after: { failoverDeadline: { target: '#load-balancer.ERROR', actions: expired('failingOver') } },
      invoke: {
        id: 'findVip',
        src: 'allocateVip',
        input: ({ context }) => ({ loadBalancerId: context.loadBalancerId }),
        onDone: {
          target: 'choosing',
          actions: [
            assign({ vipReleased: false }),
            {
              type: 'rows',
              params: ({ context, event }) => ({
                changes: [{ op: 'storeVip', loadBalancerId: context.loadBalancerId, ...event.output }],
              }),
            },
          ],
        },
        onError: { target: '#load-balancer.ERROR', actions: failedEffect() },
      },
    },
    choosing: {
      always: [
        { target: 'releasing', guard: 'surplus' },
        { target: 'building', guard: 'replacementNeeded' },
        { target: '#load-balancer.settled', guard: 'single', actions: ['noteInForce', 'noteFailedOver'] },
        { target: 'settling' },
      ],
    },
    building: {
      after: { failoverDeadline: { target: 'abandoning', actions: expired('failingOver') } },
      entry: [
        'beginRound',
        'addReplacement',
        rows((context) => [
          {
            op: 'insertAmphorae',
            loadBalancerId: context.loadBalancerId,
            amphorae: newcomers(context),
          },
        ]),
        spawn(newcomers),
      ],
      always: { target: 'syncing', guard: 'replacementPlugged' },
    },
    syncing: {
      after: { failoverDeadline: { target: 'abandoning', actions: expired('failingOver') } },
      entry: ['beginRound', command((round) => ({ type: 'SYNC', round }))],
      always: { target: 'releasing', guard: 'allSynced' },
    },
    releasing: {
      after: { failoverDeadline: { target: '#load-balancer.ERROR', actions: expired('failingOver') } },
      entry: releaseOnly(replaced),
      always: { target: 'choosing', guard: 'replacedGone', actions: 'finishReplacement' },
    },
    /** The others learn that their old peers are gone. */
    settling: {
      // Nothing is left to replace: one that does not learn of the changes must not be called up to date.
      on: {
        AMPHORA_FAILED: [
          { guard: and(['canSpare', 'isAway']), actions: excludeFailed() },
          { target: '#load-balancer.ERROR', guard: 'currentRound', actions: failedReport() },
        ],
      },
      after: { failoverDeadline: { target: '#load-balancer.ERROR', actions: expired('failingOver') } },
      entry: ['tellPeers', 'beginRound', command((round) => ({ type: 'SYNC', round }))],
      always: [
        { target: 'settling', reenter: true, guard: and(['allSynced', 'peersChanged']) },
        {
          target: '#load-balancer.settled',
          guard: 'allSynced',
          actions: ['noteInForce', 'noteFailedOver'],
        },
      ],
    },
    abandoning: {
      entry: releaseOnly(replacement),
      after: { deleteDeadline: { target: '#load-balancer.ERROR' } },
      always: { target: '#load-balancer.ERROR', guard: 'replacementGone' },
    },
  },
  exit: ['forgetFailover', rows(({ loadBalancerId }) => [{ op: 'endFailover', loadBalancerId }])],
});
