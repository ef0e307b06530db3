import { and, assign, not, or, setup } from 'xstate';
import type { ErrorRecord } from '../model/errors.ts';
import { runtimeActions } from './actions.ts';
import { effect } from './effects.ts';
import { deadlineError } from './errors.ts';
import type {
  AmphoraReport,
  HealthReport,
  LoadBalancerCommand,
  LoadBalancerInput,
  Poisoned,
} from './events.ts';
import {
  command,
  expired,
  failedEffect,
  failedReport,
  markAmphora,
  newcomers,
  rejection,
  releaseOnly,
  rows,
  spawn,
} from './load-balancer-actions.ts';
import {
  allReached,
  existing,
  type LoadBalancerContext,
  newAmphora,
  newAmphorae,
  noted,
  replaced,
  replacement,
  revisionInForce,
} from './load-balancer-context.ts';

export const LOAD_BALANCER_VERSION = 3;

type Event = LoadBalancerCommand | AmphoraReport | HealthReport | Poisoned;

/** What is expected of amphorae in every state that waits for them. */
const reports = {
  AMPHORA_PLUGGED: { guard: 'currentRound', actions: 'noteReport' },
  AMPHORA_CONFIGURED: { guard: 'currentRound', actions: 'noteReport' },
  AMPHORA_SYNCED: { guard: 'currentRound', actions: 'noteReport' },
} as const;

/**
 * One load balancer: it owns the VIP and its amphorae and brings both to what the rows say. It never touches an amphora
 * itself; it sends commands and counts reports. Its states are what `provisioning_status` says:
 * creating PENDING_CREATE, updating and failingOver PENDING_UPDATE, deleting PENDING_DELETE, reverting PENDING_CREATE on its way to
 * ERROR.
 */
export const loadBalancerMachine = setup({
  types: {} as { context: LoadBalancerContext; events: Event; input: LoadBalancerInput },
  actors: { allocateVip: effect('allocateVip'), releaseVip: effect('releaseVip') },
  actions: {
    ...runtimeActions,
    // The first failure is the reason; one that follows from it is added, because then something may be left behind.
    fail: assign({
      error: ({ context }, error: ErrorRecord) =>
        context.error
          ? { ...context.error, message: `${context.error.message}; after that: ${error.message}` }
          : error,
    }),
    forgetFailure: assign({ error: null }),
    noteVipReleased: assign({ vipReleased: true }),
    beginRound: assign(({ context }) => ({
      round: context.round + 1,
      amphorae: context.amphorae.map((amphora) =>
        amphora.phase === 'released' ? amphora : { ...amphora, phase: 'waiting' as const },
      ),
    })),
    noteReport: assign(({ context, event }) =>
      'amphoraId' in event ? { amphorae: noted(context.amphorae, event) } : {},
    ),
    acceptChange: assign(({ context, event }) =>
      event.type === 'CHANGED'
        ? {
            desiredRevision: Math.max(context.desiredRevision, event.revision),
            memberPorts: context.memberPorts || event.memberPorts,
            ownChange: context.ownChange || event.subject === 'loadBalancer',
          }
        : {},
    ),
    /** What follows is about all that was desired so far; later changes wait for the next pass. */
    beginPass: assign(({ context }) => ({
      pass: { revision: context.desiredRevision, ownChange: context.ownChange },
      ownChange: false,
    })),
    beginPortPlug: assign({ memberPorts: false }),
    noteInForce: assign(({ context }) => {
      const appliedRevision = Math.max(context.appliedRevision, revisionInForce(context));
      return { appliedRevision, decidedRevision: Math.max(context.decidedRevision, appliedRevision) };
    }),
    reject: assign(({ context }) => ({ decidedRevision: context.pass.revision })),
    /** The ports of what was rejected have to go again. */
    beginRestoring: assign({ restoring: true, memberPorts: true }),
    acceptFailover: assign(({ context, event }) =>
      event.type === 'FAILOVER'
        ? {
            replacements: event.replacements,
            amphorae: context.amphorae.filter(({ phase }) => phase !== 'released'),
            error: null,
          }
        : {},
    ),
    addReplacement: assign(({ context }) => {
      const [next] = context.replacements;
      return next?.newId ? { amphorae: [...context.amphorae, newAmphora(next.newId, next.role)] } : {};
    }),
    finishReplacement: assign(({ context }) => ({
      replacements: context.replacements.slice(1),
      amphorae: context.amphorae.filter(({ phase }) => phase !== 'released'),
    })),
    noteFailedOver: assign({ failedOver: true }),
    forgetFailover: assign(({ context }) => ({
      replacements: [],
      amphorae: context.amphorae.filter(({ phase }) => phase !== 'released'),
    })),
    forgetPass: assign(({ context }) => ({
      restoring: false,
      error: null,
      ...(context.decidedRevision >= context.desiredRevision && {
        memberPorts: false,
        ownChange: false,
        failedOver: false,
      }),
    })),
  },
  guards: {
    currentRound: ({ context, event }) => 'round' in event && event.round === context.round,
    allPlugged: ({ context }) => allReached(context, 'plugged'),
    allConfigured: ({ context }) => allReached(context, 'configured'),
    allSynced: ({ context }) => allReached(context, 'synced'),
    allReleased: ({ context }) => context.amphorae.every(({ phase }) => phase === 'released'),
    surplus: ({ context }) => context.replacements[0]?.newId === null,
    replacementNeeded: ({ context }) => context.replacements.length > 0,
    replacementPlugged: ({ context }) => replacement(context)?.phase === 'plugged',
    replacementGone: ({ context }) => (replacement(context)?.phase ?? 'released') === 'released',
    replacedGone: ({ context }) => replaced(context) === undefined,
    replacementFailed: ({ context, event }) =>
      event.type === 'AMPHORA_FAILED' &&
      event.round === context.round &&
      event.amphoraId === context.replacements[0]?.newId,
    single: ({ context }) => context.topology === 'SINGLE',
    portsAffected: ({ context }) => context.memberPorts,
    moreIsDesired: ({ context }) => context.decidedRevision < context.desiredRevision,
    ownChange: ({ context }) => context.pass.ownChange,
    restoring: ({ context }) => context.restoring,
    nothingToReject: ({ context }) => context.restoring && context.pass.revision <= context.decidedRevision,
    amphoraExists: ({ context, event }) =>
      'amphoraId' in event && existing(context, event.amphoraId) !== undefined,
    failureIsTransient: ({ context }) => context.error?.kind === 'transient',
  },
  delays: {
    createDeadline: 900_000,
    updateDeadline: 300_000,
    failoverDeadline: 1_800_000,
    deleteDeadline: 600_000,
  },
}).createMachine({
  id: 'load-balancer',
  context: ({ input }) => ({
    ...input,
    amphorae: [],
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
    AMPHORA_STALE: { guard: 'amphoraExists', actions: markAmphora({ stale: true }) },
    AMPHORA_ALIVE: { guard: 'amphoraExists', actions: markAmphora({ stale: false }) },
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
          always: { target: '#load-balancer.ACTIVE', guard: 'allSynced', actions: 'noteInForce' },
        },
      },
    },

    ACTIVE: {
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
      // What came while something else was being done.
      always: { target: 'updating', guard: 'moreIsDesired' },
      on: {
        CHANGED: { target: 'updating', actions: 'acceptChange' },
        DELETE: 'deleting',
        FAILOVER: { target: 'failingOver', actions: 'acceptFailover' },
      },
    },

    updating: {
      initial: 'deciding',
      entry: 'beginPass',
      after: { updateDeadline: { target: '.rejecting', actions: expired('updating') } },
      on: {
        CHANGED: { actions: 'acceptChange' },
        ...reports,
        AMPHORA_FAILED: { target: '.rejecting', guard: 'currentRound', actions: failedReport() },
      },
      states: {
        deciding: {
          always: [{ target: 'memberPorts', guard: 'portsAffected' }, { target: 'configSync' }],
        },
        memberPorts: {
          entry: ['beginPortPlug', 'beginRound', command((round) => ({ type: 'PLUG_PORTS', round }))],
          always: { target: 'configSync', guard: 'allPlugged' },
        },
        configSync: {
          entry: ['beginRound', command((round) => ({ type: 'SYNC', round }))],
          always: { target: 'firewallSync', guard: 'allConfigured' },
        },
        firewallSync: {
          always: { target: '#load-balancer.ACTIVE', guard: 'allSynced', actions: 'noteInForce' },
        },
        /** The pass failed. Decide what becomes of its changes, and of the load balancer; those that wait are not affected. */
        rejecting: {
          always: [
            // An own change leaves nothing to go back to; nor does a failure to go back.
            { target: '#load-balancer.ERROR', guard: or(['ownChange', 'nothingToReject']) },
            {
              // Not reached: the amphora works as before, and the next change brings it up to date.
              target: '#load-balancer.ACTIVE',
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

    /**
     * New amphorae take the place of old ones, one at a time: the new one is made and brought up to date before the old one
     * goes. A replacement that fails is given back, and what works goes on working.
     */
    failingOver: {
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
            { target: '#load-balancer.ACTIVE', guard: 'single', actions: ['noteInForce', 'noteFailedOver'] },
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
            AMPHORA_FAILED: {
              target: '#load-balancer.ERROR',
              guard: 'currentRound',
              actions: failedReport(),
            },
          },
          after: { failoverDeadline: { target: '#load-balancer.ERROR', actions: expired('failingOver') } },
          entry: ['beginRound', command((round) => ({ type: 'SYNC', round }))],
          always: {
            target: '#load-balancer.ACTIVE',
            guard: 'allSynced',
            actions: ['noteInForce', 'noteFailedOver'],
          },
        },
        abandoning: {
          entry: releaseOnly(replacement),
          after: { deleteDeadline: { target: '#load-balancer.ERROR' } },
          always: { target: '#load-balancer.ERROR', guard: 'replacementGone' },
        },
      },
      exit: ['forgetFailover', rows(({ loadBalancerId }) => [{ op: 'endFailover', loadBalancerId }])],
    },

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
        entry: command(() => ({ type: 'RELEASE' })),
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
