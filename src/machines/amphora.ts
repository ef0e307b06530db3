import { assign, setup } from 'xstate';
import type { ErrorRecord } from '../model/errors.ts';
import type { AmphoraStatus } from '../model/status.ts';
import { runtimeActions } from './actions.ts';
import type { ActorAddress } from './address.ts';
import { effect } from './effects.ts';
import { caught, deadlineError } from './errors.ts';
import type { AmphoraCommand, AmphoraInput, AmphoraReport, Poisoned } from './events.ts';
import type { AmphoraPatch } from './row-change.ts';

export const AMPHORA_VERSION = 2;

interface Context extends AmphoraInput {
  /** Revision of the last configuration pushed; the firewall may have seen a later one. */
  configuredRevision: number;
  /** What sent the amphora into its failure state, and in which step. */
  failure: { step: string; error: ErrorRecord } | null;
  /** How often it was tried since it was last in step. */
  retries: number;
}

const FIRST_RETRY_MS = 2_000;
/** How late at most an amphora is found again whose heartbeats never stopped. */
const MOST_RETRY_MS = 60_000;

/** A new command replaces the work on an earlier one, from every state in which the amphora exists. */
const commands = {
  PLUG_PORTS: { target: 'portPlug', reenter: true, actions: 'beginRound' },
  SYNC: { target: 'configSync', reenter: true, actions: 'beginRound' },
  EXCLUDE: {
    target: 'excluded',
    reenter: true,
    actions: {
      type: 'fail',
      params: ({ event }: { event: { error: ErrorRecord } }) => ({ step: 'excluded', error: event.error }),
    },
  },
} as const;

/** Where there is nothing to work on, a command is answered at once: who sent it must not wait in vain. */
const refusals = {
  PLUG_PORTS: { actions: ['noteRound', failureReport()] },
  SYNC: { actions: ['noteRound', failureReport()] },
  EXCLUDE: { actions: excludedReport() },
} as const;

/**
 * One amphora: a server with haproxy, keepalived and a firewall, and its ports.
 *
 * It makes itself up to `plugged`, then obeys its load balancer: PLUG_PORTS and SYNC bring ports, configuration and
 * firewall to what the load balancer's rows say, whatever was there before; RELEASE gives everything back from any
 * state. Failure states hold what exists and wait for the load balancer's decision. EXCLUDE is such a decision about one of
 * a pair: it shows ERROR, looks by itself when it can be reached again, and then waits to be let in.
 */
export const amphoraMachine = setup({
  types: {} as { context: Context; events: AmphoraCommand | Poisoned; input: AmphoraInput },
  actors: {
    placeServer: effect('placeServer'),
    awaitAgent: effect('awaitAgent'),
    plugPorts: effect('plugPorts'),
    pushConfig: effect('pushConfig'),
    pushFirewall: effect('pushFirewall'),
    tryFirewall: effect('tryFirewall'),
    pushSettings: effect('pushSettings'),
    releaseAmphora: effect('releaseAmphora'),
  },
  actions: {
    ...runtimeActions,
    fail: assign({ failure: (_, failure: { step: string; error: ErrorRecord }) => failure }),
    forgetFailure: assign({ failure: null }),
    noteRound: assign(({ event }) => ('round' in event ? { round: event.round } : {})),
    beginRound: assign(({ event }) => ('round' in event ? { round: event.round, failure: null } : {})),
    countRetry: assign({ retries: ({ context }) => context.retries + 1 }),
    forgetRetries: assign({ retries: 0 }),
  },
  delays: {
    // Not forgotten when it answers and then fails again: each return gives the other one work.
    retryPause: ({ context }) => Math.min(FIRST_RETRY_MS * 2 ** context.retries, MOST_RETRY_MS),
    placeDeadline: 600_000,
    bootDeadline: 600_000,
    stepDeadline: 180_000,
    releaseDeadline: 300_000,
  },
}).createMachine({
  id: 'amphora',
  context: ({ input }) => ({ ...input, configuredRevision: 0, failure: null, retries: 0 }),
  initial: 'placing',
  on: { RELEASE: '.releasing', POISONED: { target: '.eventFailure', actions: poisoned() } },
  states: {
    placing: {
      invoke: {
        id: 'placeServer',
        src: 'placeServer',
        input: ({ context }) => reference(context),
        onDone: {
          target: 'booting',
          actions: {
            type: 'rows',
            params: ({ context, event: { output } }) =>
              patch(context, {
                status: 'BOOTING',
                compute_id: output.computeId,
                ...(output.certExpiration && { cert_expiration: output.certExpiration }),
                ...(output.zone && { cached_zone: output.zone }),
                ...(output.imageId && { image_id: output.imageId }),
                ...(output.computeFlavor && { compute_flavor: output.computeFlavor }),
              }),
          },
        },
        onError: { target: 'placementFailure', actions: failing('placing') },
      },
      after: { placeDeadline: { target: 'placementFailure', actions: expired('placing') } },
    },
    booting: {
      invoke: {
        id: 'awaitAgent',
        src: 'awaitAgent',
        input: ({ context }) => reference(context),
        onDone: {
          target: 'portPlug',
          actions: {
            type: 'rows',
            params: ({ context, event }) => patch(context, { lb_network_ip: event.output.managementAddress }),
          },
        },
        onError: { target: 'bootFailure', actions: failing('booting') },
      },
      after: { bootDeadline: { target: 'bootFailure', actions: expired('booting') } },
    },
    portPlug: {
      on: commands,
      invoke: {
        id: 'plugPorts',
        src: 'plugPorts',
        input: ({ context }) => reference(context),
        onDone: {
          target: 'plugged',
          actions: {
            type: 'rows',
            params: ({ context, event: { output } }) => {
              const vipPort = output.ports.find((port) => port.role === 'vip');
              return {
                changes: [
                  { op: 'replacePorts', amphoraId: context.amphoraId, ports: output.ports },
                  ...patch(context, {
                    // One that was excluded is not back before it is in step.
                    ...(context.configuredRevision === 0 && { status: 'ALLOCATED' as const }),
                    vrrp_ip: output.vrrpIp,
                    ha_ip: output.vip.address,
                    ...(output.vip.portId && { ha_port_id: output.vip.portId }),
                    ...(vipPort && { vrrp_port_id: vipPort.portId }),
                    error_code: null,
                    error_message: null,
                  }).changes,
                ],
              };
            },
          },
        },
        onError: { target: 'portPlugFailure', actions: failing('portPlug') },
      },
      after: { stepDeadline: { target: 'portPlugFailure', actions: expired('portPlug') } },
    },
    plugged: {
      entry: report((context) => ({ type: 'AMPHORA_PLUGGED', ...from(context) })),
      on: commands,
    },
    configSync: {
      on: commands,
      invoke: {
        id: 'pushConfig',
        src: 'pushConfig',
        input: ({ context }) => reference(context),
        onDone: {
          target: 'firewallSync',
          actions: assign({ configuredRevision: ({ event }) => event.output.revision }),
        },
        onError: { target: 'configSyncFailure', actions: failing('configSync') },
      },
      after: { stepDeadline: { target: 'configSyncFailure', actions: expired('configSync') } },
    },
    firewallSync: {
      on: commands,
      entry: report((context) => ({ type: 'AMPHORA_CONFIGURED', ...from(context) })),
      invoke: {
        id: 'pushFirewall',
        src: 'pushFirewall',
        input: ({ context }) => reference(context),
        onDone: {
          target: 'ready',
          actions: assign({
            configuredRevision: ({ context, event }) =>
              Math.min(context.configuredRevision, event.output.revision),
          }),
        },
        onError: { target: 'firewallSyncFailure', actions: failing('firewallSync') },
      },
      after: { stepDeadline: { target: 'firewallSyncFailure', actions: expired('firewallSync') } },
    },
    ready: {
      entry: [
        'forgetRetries',
        {
          type: 'rows',
          params: ({ context }) =>
            patch(context, {
              status: 'ALLOCATED',
              applied_revision: context.configuredRevision,
              ...reason(context),
            }),
        },
        report((context) => ({
          type: 'AMPHORA_SYNCED',
          ...from(context),
          revision: context.configuredRevision,
        })),
      ],
      on: { ...commands, STALE: 'stale', CONFIGURE: 'reconfiguring' },
    },
    /** It serves as in ready, whatever becomes of its agent's settings; a failure is noted in its row. */
    reconfiguring: {
      on: commands,
      invoke: {
        id: 'pushSettings',
        src: 'pushSettings',
        input: ({ context }) => reference(context),
        onDone: { target: 'ready', actions: 'forgetFailure' },
        onError: { target: 'ready', actions: failing('reconfiguring') },
      },
      after: { stepDeadline: { target: 'ready', actions: expired('reconfiguring') } },
    },
    /** As ready, as far as is known: its heartbeats have stopped. What becomes of it is the load balancer's decision. */
    stale: { on: { ...commands, ALIVE: 'ready', CONFIGURE: 'reconfiguring' } },
    /**
     * Its load balancer goes on without it. What is tried is the firewall: from the first call that arrives, nothing is open
     * that must not be, whoever holds the VIP by then. The rest follows when the load balancer lets it in.
     */
    excluded: {
      initial: 'waiting',
      on: commands,
      entry: [
        {
          type: 'rows',
          params: ({ context }) => patch(context, { status: 'ERROR', ...reason(context) }),
        },
        excludedReport(),
      ],
      states: {
        waiting: {
          after: { retryPause: 'trying' },
          on: { ALIVE: 'trying' },
        },
        trying: {
          entry: 'countRetry',
          invoke: {
            id: 'tryFirewall',
            src: 'tryFirewall',
            input: ({ context }) => reference(context),
            onDone: 'answering',
            onError: 'waiting',
          },
          after: { stepDeadline: 'waiting' },
        },
        answering: { entry: report(({ amphoraId }) => ({ type: 'AMPHORA_ANSWERS', amphoraId })) },
      },
    },
    placementFailure: { entry: reportFailure('ERROR'), on: refusals },
    bootFailure: { entry: reportFailure('ERROR'), on: refusals },
    portPlugFailure: retryableFailure(),
    configSyncFailure: retryableFailure(),
    firewallSyncFailure: retryableFailure(),
    /** An event could not be processed, whatever was going on. */
    eventFailure: retryableFailure(),
    releasing: {
      on: { POISONED: { target: 'ERROR', actions: poisoned() } },
      entry: {
        type: 'rows',
        params: ({ context }) => patch(context, { status: 'PENDING_DELETE' }),
      },
      invoke: {
        id: 'releaseAmphora',
        src: 'releaseAmphora',
        input: ({ context }) => reference(context),
        onDone: 'DELETED',
        onError: { target: 'ERROR', actions: failing('releasing') },
      },
      after: { releaseDeadline: { target: 'ERROR', actions: expired('releasing') } },
    },
    /** The release failed: something of it may still exist. RELEASE tries again. */
    ERROR: {
      on: refusals,
      entry: [
        {
          type: 'rows',
          params: ({ context }) => patch(context, { status: 'ERROR', ...reason(context) }),
        },
        report((context) => ({
          type: 'AMPHORA_RELEASE_FAILED',
          amphoraId: context.amphoraId,
          error: context.failure?.error ?? deadlineError('releasing'),
        })),
      ],
    },
    DELETED: {
      type: 'final',
      entry: [
        {
          type: 'rows',
          params: ({ context }) => ({ changes: [{ op: 'removeAmphora', amphoraId: context.amphoraId }] }),
        },
        report((context) => ({ type: 'AMPHORA_RELEASED', amphoraId: context.amphoraId })),
      ],
    },
  },
});

function reference({ amphoraId, loadBalancerId }: Context) {
  return { amphoraId, loadBalancerId };
}

function from({ amphoraId, round }: Context) {
  return { amphoraId, round };
}

function loadBalancerOf({ loadBalancerId }: Context): ActorAddress {
  return { kind: 'load-balancer', id: loadBalancerId, loadBalancerId };
}

function patch(context: Context, changes: AmphoraPatch) {
  return { changes: [{ op: 'patchAmphora' as const, amphoraId: context.amphoraId, patch: changes }] };
}

function reason({ failure }: Context) {
  return { error_code: failure?.error.code ?? null, error_message: failure?.error.message ?? null };
}

/** Actions of a failed invocation: remember what failed and why. */
function failing(step: string) {
  return {
    type: 'fail' as const,
    params: ({ event }: { event: { error: unknown } }) => ({ step, error: caught(event.error) }),
  };
}

function expired(step: string) {
  return { type: 'fail' as const, params: { step, error: deadlineError(step) } };
}

function poisoned() {
  return {
    type: 'fail' as const,
    params: ({ event }: { event: Poisoned }) => ({ step: 'event', error: event.error }),
  };
}

function report(make: (context: Context) => AmphoraReport) {
  return {
    type: 'send' as const,
    params: ({ context }: { context: Context }) => ({
      messages: [{ to: loadBalancerOf(context), event: make(context) }],
    }),
  };
}

function reportFailure(status: AmphoraStatus | undefined) {
  return [
    {
      type: 'rows' as const,
      params: ({ context }: { context: Context }) =>
        patch(context, { ...(status && { status }), ...reason(context) }),
    },
    failureReport(),
  ];
}

function excludedReport() {
  return report(({ amphoraId }) => ({ type: 'AMPHORA_EXCLUDED', amphoraId }));
}

function failureReport() {
  return report((context) => ({
    type: 'AMPHORA_FAILED',
    ...from(context),
    step: context.failure?.step ?? 'unknown',
    error: context.failure?.error ?? deadlineError('unknown'),
  }));
}

/** A step failed in an amphora that may be serving: it goes on as it is until the load balancer decides. */
function retryableFailure() {
  return {
    entry: reportFailure(undefined),
    on: commands,
  };
}
