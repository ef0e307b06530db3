import { and, assign, or, setup } from 'xstate';
import type { ErrorRecord } from '../model/errors.ts';
import type { AmphoraRole, Topology } from '../model/status.ts';
import { runtimeActions } from './actions.ts';
import type { ActorAddress } from './address.ts';
import { effect } from './effects.ts';
import { caught, deadlineError } from './errors.ts';
import type {
  AmphoraCommand,
  AmphoraReport,
  LoadBalancerCommand,
  LoadBalancerInput,
  Poisoned,
} from './events.ts';
import type { RowChange } from './row-change.ts';

export const LOAD_BALANCER_VERSION = 1;

/** How far an amphora has come in the current round; a later phase includes the earlier ones. */
const phases = ['waiting', 'plugged', 'configured', 'synced'] as const;
type Phase = (typeof phases)[number] | 'released';

interface Amphora {
  id: string;
  role: AmphoraRole;
  phase: Phase;
  revision: number;
}

interface Context {
  loadBalancerId: string;
  topology: Topology;
  amphoraIds: string[];
  /** Those that were spawned. */
  amphorae: Amphora[];
  /** Number of the last command to the amphorae; reports of earlier rounds are ignored. */
  round: number;
  desiredRevision: number;
  appliedRevision: number;
  /** The change being applied touches member ports. */
  memberPorts: boolean;
  /** The change being applied is one of the load balancer's own attributes. */
  ownChange: boolean;
  /** A change was rejected and the amphorae are being brought back to what was accepted. */
  restoring: boolean;
  /** Why the last change is not in force, for the rows that asked for it. */
  rejected: { error: ErrorRecord; withhold: boolean } | null;
  error: ErrorRecord | null;
  /** The VIP's port was given back. */
  vipReleased: boolean;
}

type Event = LoadBalancerCommand | AmphoraReport | Poisoned;

/** What is expected of amphorae in every state that waits for them. */
const reports = {
  AMPHORA_PLUGGED: { guard: 'currentRound', actions: 'noteReport' },
  AMPHORA_CONFIGURED: { guard: 'currentRound', actions: 'noteReport' },
  AMPHORA_SYNCED: { guard: 'currentRound', actions: 'noteReport' },
} as const;

/**
 * One load balancer: it owns the VIP and its amphorae and brings both to what the rows say. It never touches an amphora
 * itself; it sends commands and counts reports. Its states are what `provisioning_status` says:
 * creating PENDING_CREATE, updating PENDING_UPDATE, deleting PENDING_DELETE, reverting PENDING_CREATE on its way to
 * ERROR.
 */
export const loadBalancerMachine = setup({
  types: {} as { context: Context; events: Event; input: LoadBalancerInput },
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
    noteReport: assign(({ context, event }) => ({ amphorae: noted(context.amphorae, event) })),
    acceptChange: assign(({ context, event }) =>
      event.type === 'CHANGED'
        ? {
            desiredRevision: Math.max(context.desiredRevision, event.revision),
            memberPorts: context.memberPorts || event.memberPorts,
            ownChange: context.ownChange || event.subject === 'loadBalancer',
          }
        : {},
    ),
    noteReached: assign(({ context }) => ({
      appliedRevision: Math.max(context.appliedRevision, reachedRevision(context)),
    })),
    forgetChange: assign({
      memberPorts: false,
      ownChange: false,
      restoring: false,
      rejected: null,
      error: null,
    }),
  },
  guards: {
    currentRound: ({ context, event }) => 'round' in event && event.round === context.round,
    allPlugged: ({ context }) => allReached(context, 'plugged'),
    allConfigured: ({ context }) => allReached(context, 'configured'),
    allSynced: ({ context }) => allReached(context, 'synced'),
    allReleased: ({ context }) => context.amphorae.every(({ phase }) => phase === 'released'),
    portsAffected: ({ context }) => context.memberPorts,
    moreIsDesired: ({ context }) => !context.restoring && reachedRevision(context) < context.desiredRevision,
    ownChange: ({ context }) => context.ownChange,
    restoring: ({ context }) => context.restoring,
    failureIsTransient: ({ context }) => context.error?.kind === 'transient',
  },
  delays: { createDeadline: 900_000, updateDeadline: 300_000, deleteDeadline: 600_000 },
}).createMachine({
  id: 'load-balancer',
  context: ({ input }) => ({
    ...input,
    amphorae: [],
    round: 0,
    desiredRevision: 1,
    appliedRevision: 0,
    memberPorts: false,
    ownChange: false,
    restoring: false,
    rejected: null,
    error: null,
    vipReleased: false,
  }),
  initial: 'creating',
  on: { POISONED: { target: '.ERROR', actions: failedReport() } },
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
                {
                  type: 'spawn',
                  params: ({ context }) => ({
                    actors: context.amphorae.map(({ id, role }) => ({
                      address: amphoraAddress(context, id),
                      input: {
                        amphoraId: id,
                        loadBalancerId: context.loadBalancerId,
                        role,
                        round: context.round,
                      },
                    })),
                  }),
                },
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
        firewallSync: { always: { target: '#load-balancer.ACTIVE', guard: 'allSynced' } },
      },
    },

    ACTIVE: {
      entry: [
        'noteReached',
        rows((context) => [
          {
            op: 'settle',
            loadBalancerId: context.loadBalancerId,
            revision: context.appliedRevision,
            rejected: context.rejected,
          },
        ]),
        'forgetChange',
      ],
      on: {
        CHANGED: { target: 'updating', actions: 'acceptChange' },
        DELETE: 'deleting',
      },
    },

    updating: {
      initial: 'deciding',
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
          entry: ['beginRound', command((round) => ({ type: 'PLUG_PORTS', round }))],
          always: { target: 'configSync', guard: 'allPlugged' },
        },
        configSync: {
          entry: ['beginRound', command((round) => ({ type: 'SYNC', round }))],
          always: { target: 'firewallSync', guard: 'allConfigured' },
        },
        firewallSync: {
          always: [
            { target: 'deciding', guard: and(['allSynced', 'moreIsDesired']) },
            { target: '#load-balancer.ACTIVE', guard: 'allSynced' },
          ],
        },
        /** The change could not be applied. Decide what becomes of it, and of the load balancer. */
        rejecting: {
          always: [
            // An own change leaves nothing to go back to; nor does a failure to go back.
            { target: '#load-balancer.ERROR', guard: or(['ownChange', 'restoring']) },
            {
              // Not reached: the amphora works as before, and the next change brings it up to date.
              target: '#load-balancer.ACTIVE',
              guard: 'failureIsTransient',
              actions: assign(({ context }) => ({
                rejected: context.error && { error: context.error, withhold: false },
              })),
            },
            {
              target: 'memberPorts',
              actions: [
                assign({ restoring: true }),
                rows((context) => [
                  {
                    op: 'reject',
                    loadBalancerId: context.loadBalancerId,
                    revision: context.appliedRevision,
                    error: context.error ?? deadlineError('updating'),
                  },
                ]),
              ],
            },
          ],
        },
      },
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
        DELETE: { target: 'deleting', actions: 'forgetFailure' },
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
          input: ({ context }: { context: Context }) => ({ loadBalancerId: context.loadBalancerId }),
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

function newAmphorae({ topology, amphoraIds }: Context): Amphora[] {
  const roles: AmphoraRole[] = topology === 'SINGLE' ? ['STANDALONE'] : ['MASTER', 'BACKUP'];
  return roles.flatMap((role, index) => {
    const id = amphoraIds[index];
    return id === undefined ? [] : [{ id, role, phase: 'waiting' as const, revision: 0 }];
  });
}

function noted(amphorae: Amphora[], event: Event): Amphora[] {
  if (!('amphoraId' in event)) return amphorae;
  return amphorae.map((amphora) => {
    if (amphora.id !== event.amphoraId) return amphora;
    switch (event.type) {
      case 'AMPHORA_PLUGGED':
        return { ...amphora, phase: 'plugged' };
      case 'AMPHORA_CONFIGURED':
        return { ...amphora, phase: 'configured' };
      case 'AMPHORA_SYNCED':
        return { ...amphora, phase: 'synced', revision: event.revision };
      case 'AMPHORA_RELEASED':
        return { ...amphora, phase: 'released' };
      default:
        return amphora;
    }
  });
}

function allReached({ amphorae }: Context, phase: (typeof phases)[number]): boolean {
  const wanted = phases.indexOf(phase);
  return amphorae.every((amphora) => phases.indexOf(amphora.phase as (typeof phases)[number]) >= wanted);
}

/** The revision that every amphora has in force. */
function reachedRevision({ amphorae }: Context): number {
  return Math.min(...amphorae.map(({ revision }) => revision));
}

function amphoraAddress({ loadBalancerId }: Context, id: string): ActorAddress {
  return { kind: 'amphora', id, loadBalancerId };
}

/** Send a command to every amphora that still exists. */
function command(make: (round: number) => AmphoraCommand) {
  return {
    type: 'send' as const,
    params: ({ context }: { context: Context }) => ({
      messages: context.amphorae
        .filter(({ phase }) => phase !== 'released')
        .map(({ id }) => ({ to: amphoraAddress(context, id), event: make(context.round) })),
    }),
  };
}

function rows(make: (context: Context) => RowChange[]) {
  return {
    type: 'rows' as const,
    params: ({ context }: { context: Context }) => ({ changes: make(context) }),
  };
}

function failedEffect() {
  return {
    type: 'fail' as const,
    params: ({ event }: { event: { error: unknown } }) => caught(event.error),
  };
}

function failedReport() {
  return {
    type: 'fail' as const,
    params: ({ event }: { event: { error: ErrorRecord } }) => event.error,
  };
}

function expired(step: string) {
  return { type: 'fail' as const, params: deadlineError(step) };
}
