import { assign, setup } from 'xstate';
import type { ErrorRecord } from '../model/errors.ts';
import { runtimeActions } from './actions.ts';
import { effect } from './effects.ts';
import type {
  AmphoraReport,
  HealthReport,
  LoadBalancerCommand,
  LoadBalancerInput,
  Poisoned,
} from './events.ts';
import {
  allReached,
  canSpare,
  existing,
  type LoadBalancerContext,
  newAmphora,
  noted,
  oneReached,
  replaced,
  replacement,
  revisionInForce,
} from './load-balancer-context.ts';

type Event = LoadBalancerCommand | AmphoraReport | HealthReport | Poisoned;

/** The words of the load balancer's chart: its actions, guards and deadlines. */
export const loadBalancerSetup = setup({
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
    noteReport: assign(({ context, event }) => ('amphoraId' in event ? noted(context, event) : {})),
    noteLeaving: assign(({ context }, ids: string[]) => ({
      amphorae: context.amphorae.map((amphora) =>
        ids.includes(amphora.id) ? { ...amphora, standing: 'leaving' as const } : amphora,
      ),
    })),
    readmit: assign(({ context }) => ({
      amphorae: context.amphorae.map((amphora) =>
        amphora.standing === 'answering' ? { ...amphora, standing: 'rejoining' as const } : amphora,
      ),
    })),
    tellPeers: assign({ peersChanged: false }),
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
    onePlugged: ({ context }) => oneReached(context, 'plugged'),
    oneSynced: ({ context }) => oneReached(context, 'synced'),
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
    peersChanged: ({ context }) => context.peersChanged,
    oneAnswers: ({ context }) => context.amphorae.some(({ standing }) => standing === 'answering'),
    canSpare: ({ context, event }) =>
      event.type === 'AMPHORA_FAILED' && event.round === context.round && canSpare(context, event.amphoraId),
    // A refusal is about what was asked, and the other one would refuse it as well.
    isAway: ({ event }) =>
      event.type === 'AMPHORA_FAILED' &&
      (event.error.kind === 'transient' || event.error.code === 'server_lost'),
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
    portGrace: 5_000,
    syncGrace: 5_000,
  },
});
