import { and, assign, not, or } from 'xstate';
import { deadlineError } from './errors.ts';
import {
  command,
  excludeFailed,
  excludeLate,
  expired,
  failedEffect,
  failedReport,
  markAmphora,
  rejection,
  releaseAll,
  rows,
  spawn,
  stopFailover,
} from './load-balancer-actions.ts';
import { type LoadBalancerContext, newAmphorae, rejoining } from './load-balancer-context.ts';
import { failingOver } from './load-balancer-failover.ts';
import { reports, rounds } from './load-balancer-rounds.ts';
import { loadBalancerSetup } from './load-balancer-setup.ts';

export const LOAD_BALANCER_VERSION = 4;

/**
 * One load balancer: it owns the VIP and its amphorae and brings both to what the rows say. It never touches an amphora
 * itself; it sends commands and counts reports. Its states are what `provisioning_status` says:
 * rejoining ACTIVE, creating PENDING_CREATE, updating and failingOver PENDING_UPDATE, deleting PENDING_DELETE, reverting PENDING_CREATE on its way to
 * ERROR.
 */
export const loadBalancerMachine = loadBalancerSetup.createMachine({
  id: 'load-balancer',
  context: ({ input }) => ({
    ...input,
    amphorae: [],
    peersChanged: false,
    round: 0,
    desiredRevision: 1,
    appliedRevision: 0,
    decidedRevision: 0,
    pass: { revision: 1, ownChange: false },
    memberPorts: false,
    ownChange: false,
    restoring: false,
    error: null,
    vipReleased: false,
    replacements: [],
    failedOver: false,
  }),
  initial: 'creating',
  on: {
    POISONED: { target: '.ERROR', actions: failedReport() },
    AMPHORA_EXCLUDED: { actions: 'noteReport' },
    AMPHORA_ANSWERS: { actions: 'noteReport' },
    AMPHORA_STALE: { guard: 'amphoraExists', actions: markAmphora({ stale: true }) },
    AMPHORA_ALIVE: { guard: 'amphoraExists', actions: markAmphora({ stale: false }) },
    AMPHORA_FAILOVER_STOPPED: { guard: 'amphoraExists', actions: stopFailover() },
  },
  states: {
    creating: {
      initial: 'allocatingVip',
      after: { createDeadline: { target: 'reverting', actions: expired('creating') } },
      on: {
        ...reports,
        AMPHORA_FAILED: { target: 'reverting', guard: 'currentRound', actions: failedReport() },
      },
      states: {
        allocatingVip: {
          invoke: {
            id: 'allocateVip',
            src: 'allocateVip',
            input: ({ context }) => ({ loadBalancerId: context.loadBalancerId }),
            onDone: {
              target: 'awaitingAmphorae',
              actions: [
                assign(({ context }) => ({ amphorae: newAmphorae(context) })),
                {
                  type: 'rows',
                  params: ({ context, event }) => ({
                    changes: [
                      { op: 'storeVip', loadBalancerId: context.loadBalancerId, ...event.output },
                      {
                        op: 'insertAmphorae',
                        loadBalancerId: context.loadBalancerId,
                        amphorae: context.amphorae.map(({ id, role }) => ({ id, role })),
                      },
                    ],
                  }),
                },
                spawn((context) => context.amphorae),
              ],
            },
            onError: { target: '#load-balancer.reverting', actions: failedEffect() },
          },
        },
        awaitingAmphorae: { always: { target: 'configSync', guard: 'allPlugged' } },
        configSync: {
          entry: ['beginRound', command((round) => ({ type: 'SYNC', round }))],
          always: { target: 'firewallSync', guard: 'allConfigured' },
        },
        firewallSync: {
          always: { target: '#load-balancer.settled', guard: 'allSynced', actions: 'noteInForce' },
        },
      },
    },

    /** What was decided shows in the rows. */
    settled: {
      entry: [
        rows((context) => [
          {
            op: 'settle',
            loadBalancerId: context.loadBalancerId,
            revision: context.appliedRevision,
            decided: context.decidedRevision,
            revive: context.failedOver,
          },
        ]),
        'forgetPass',
      ],
      always: 'ACTIVE',
    },

    ACTIVE: {
      always: [
        // What came while something else was being done.
        { target: 'updating', guard: 'moreIsDesired' },
        { target: 'rejoining', guard: or(['oneAnswers', 'peersChanged']) },
      ],
      on: {
        CHANGED: { target: 'updating', actions: 'acceptChange' },
        DELETE: 'deleting',
        FAILOVER: { target: 'failingOver', actions: 'acceptFailover' },
      },
    },

    /**
     * Nobody has asked for it: an amphora that was excluded is brought into step, and peers learn of each other. Whatever
     * becomes of that, nothing of the load balancer's rows changes, and who comes with a request is not kept waiting for long.
     */
    rejoining: {
      initial: 'memberPorts',
      entry: 'readmit',
      after: { updateDeadline: { target: 'ACTIVE', actions: excludeLate(rejoining) } },
      on: {
        CHANGED: { actions: 'acceptChange' },
        DELETE: 'deleting',
        FAILOVER: { target: 'failingOver', actions: [...excludeLate(rejoining), 'acceptFailover'] },
        ...reports,
        AMPHORA_FAILED: [
          { guard: 'canSpare', actions: excludeFailed() },
          { guard: 'currentRound', actions: 'noteReport' },
        ],
      },
      states: rounds({ target: '#load-balancer.ACTIVE', actions: excludeLate(rejoining) }),
    },

    updating: {
      initial: 'deciding',
      entry: 'beginPass',
      after: { updateDeadline: { target: '.rejecting', actions: expired('updating') } },
      on: {
        CHANGED: { actions: 'acceptChange' },
        ...reports,
        AMPHORA_FAILED: [
          { guard: and(['canSpare', 'isAway']), actions: excludeFailed() },
          { target: '.rejecting', guard: 'currentRound', actions: failedReport() },
        ],
      },
      states: {
        deciding: {
          always: [{ target: 'memberPorts', guard: 'portsAffected' }, { target: 'configSync' }],
        },
        ...rounds({ target: '#load-balancer.settled', actions: 'noteInForce' }),
        /** The pass failed. Decide what becomes of its changes, and of the load balancer; those that wait are not affected. */
        rejecting: {
          always: [
            // An own change leaves nothing to go back to; nor does a failure to go back.
            { target: '#load-balancer.ERROR', guard: or(['ownChange', 'nothingToReject']) },
            {
              // Not reached: the amphora works as before, and the next change brings it up to date.
              target: '#load-balancer.settled',
              guard: and([not('restoring'), 'failureIsTransient']),
              actions: [rejection({ withhold: false }), 'reject'],
            },
            {
              target: '#load-balancer.updating',
              actions: [rejection({ withhold: true }), 'reject', 'beginRestoring'],
            },
          ],
        },
      },
    },

    failingOver,

    /** Creation failed: everything that was made is given back before the load balancer shows ERROR. */
    reverting: releasing({ done: 'ERROR', failed: 'ERROR' }),

    ERROR: {
      entry: rows((context) => [
        {
          op: 'failLoadBalancer',
          loadBalancerId: context.loadBalancerId,
          error: context.error ?? deadlineError('unknown'),
          vipReleased: context.vipReleased,
        },
      ]),
      on: {
        // Accepted in the moment in which the failure was committed, and so not seen by that commit.
        CHANGED: { actions: ['acceptChange', 'beginPass', rejection({ withhold: false }), 'reject'] },
        DELETE: { target: 'deleting', actions: 'forgetFailure' },
        FAILOVER: { target: 'failingOver', actions: 'acceptFailover' },
        AMPHORA_RELEASED: { actions: 'noteReport' },
      },
    },

    deleting: releasing({ done: 'DELETED', failed: 'ERROR' }),

    DELETED: {
      type: 'final',
      entry: rows((context) => [{ op: 'deleteLoadBalancer', loadBalancerId: context.loadBalancerId }]),
    },
  },
});

/** Give back the amphorae, then the VIP, within the deadline. */
function releasing({ done, failed }: { done: string; failed: string }) {
  return {
    initial: 'releasingAmphorae',
    after: { deleteDeadline: { target: failed, actions: expired('releasing') } },
    on: {
      AMPHORA_RELEASED: { actions: 'noteReport' as const },
      AMPHORA_RELEASE_FAILED: { target: failed, actions: failedReport() },
    },
    states: {
      releasingAmphorae: {
        entry: releaseAll(),
        always: { target: 'releasingVip', guard: 'allReleased' as const },
      },
      releasingVip: {
        invoke: {
          id: 'releaseVip',
          src: 'releaseVip' as const,
          input: ({ context }: { context: LoadBalancerContext }) => ({
            loadBalancerId: context.loadBalancerId,
          }),
          onDone: {
            target: `#load-balancer.${done}`,
            actions: 'noteVipReleased' as const,
          },
          onError: { target: `#load-balancer.${failed}`, actions: failedEffect() },
        },
      },
    },
  };
}
