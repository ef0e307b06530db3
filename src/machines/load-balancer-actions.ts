import type { ErrorRecord } from '../model/errors.ts';
import type { AmphoraRole } from '../model/status.ts';
import type { ActorAddress } from './address.ts';
import { caught, deadlineError } from './errors.ts';
import type { AmphoraCommand, AmphoraReport, HealthReport } from './events.ts';
import { type LoadBalancerContext, participants, remaining, replacement } from './load-balancer-context.ts';
import type { RowChange } from './row-change.ts';

// What the load balancer's chart does, with its parameters: spoken in the chart as `command(...)`, `rows(...)`.

function amphoraAddress({ loadBalancerId }: LoadBalancerContext, id: string): ActorAddress {
  return { kind: 'amphora', id, loadBalancerId };
}

/** The amphora that was just added to take another's place. */
export function newcomers(context: LoadBalancerContext): { id: string; role: AmphoraRole }[] {
  const amphora = replacement(context);
  return amphora ? [{ id: amphora.id, role: amphora.role }] : [];
}

/** Bring amphorae to life. */
export function spawn(make: (context: LoadBalancerContext) => { id: string; role: AmphoraRole }[]) {
  return {
    type: 'spawn' as const,
    params: ({ context }: { context: LoadBalancerContext }) => ({
      actors: make(context).map(({ id, role }) => ({
        address: amphoraAddress(context, id),
        input: { amphoraId: id, loadBalancerId: context.loadBalancerId, role, round: context.round },
      })),
    }),
  };
}

/** Give one amphora back, if it is there. */
export function releaseOnly(choose: (context: LoadBalancerContext) => { id: string } | undefined) {
  return {
    type: 'send' as const,
    params: ({ context }: { context: LoadBalancerContext }) => {
      const amphora = choose(context);
      return {
        messages: amphora
          ? [{ to: amphoraAddress(context, amphora.id), event: { type: 'RELEASE' as const } }]
          : [],
      };
    },
  };
}

/** Send a command to every amphora that takes part. */
export function command(make: (round: number) => AmphoraCommand) {
  return toEach(participants, ({ round }) => make(round));
}

/** Give back all amphorae. */
export function releaseAll() {
  return toEach(remaining, () => ({ type: 'RELEASE' }));
}

function toEach(
  choose: (context: LoadBalancerContext) => { id: string }[],
  make: (context: LoadBalancerContext) => AmphoraCommand,
) {
  return {
    type: 'send' as const,
    params: ({ context }: { context: LoadBalancerContext }) => ({
      messages: choose(context).map(({ id }) => ({ to: amphoraAddress(context, id), event: make(context) })),
    }),
  };
}

/** Go on without the amphora that has just failed. */
export function excludeFailed() {
  return exclude((_, event) => {
    const { amphoraId: id, error } = event as Extract<AmphoraReport, { type: 'AMPHORA_FAILED' }>;
    return [{ id, error }];
  });
}

/** Go on without these, because they take too long. */
export function excludeLate(choose: (context: LoadBalancerContext) => { id: string }[]) {
  const message = 'it did not keep up with the other amphora; look at its own events for what it was doing';
  const error: ErrorRecord = { kind: 'transient', code: 'amphora_late', message };
  return exclude((context) => choose(context).map(({ id }) => ({ id, error })));
}

function exclude(
  choose: (context: LoadBalancerContext, event: object) => { id: string; error: ErrorRecord }[],
) {
  type Moment = { context: LoadBalancerContext; event: object };
  return [
    {
      type: 'send' as const,
      params: ({ context, event }: Moment) => ({
        messages: choose(context, event).map(({ id, error }) => ({
          to: amphoraAddress(context, id),
          event: { type: 'EXCLUDE' as const, error },
        })),
      }),
    },
    {
      type: 'noteLeaving' as const,
      params: ({ context, event }: Moment) => choose(context, event).map(({ id }) => id),
    },
  ];
}

/** Change rows in the commit of the transition. */
export function rows(make: (context: LoadBalancerContext) => RowChange[]) {
  return {
    type: 'rows' as const,
    params: ({ context }: { context: LoadBalancerContext }) => ({ changes: make(context) }),
  };
}

/** Show that a stale amphora is not failed over. */
export function stopFailover() {
  return {
    type: 'rows' as const,
    params: ({ event }: { event: object }) => ({
      changes: [{ op: 'stopFailover' as const, amphoraId: (event as HealthReport).amphoraId }],
    }),
  };
}

/** Note for the failover limiter whether an amphora is heard of, and let the amphora know. */
export function markAmphora({ stale }: { stale: boolean }) {
  const about = (event: object) => (event as HealthReport).amphoraId;
  return [
    {
      type: 'rows' as const,
      params: ({ event }: { event: object }) => ({
        changes: [{ op: 'markAmphora' as const, amphoraId: about(event), stale }],
      }),
    },
    {
      type: 'send' as const,
      params: ({ context, event }: { context: LoadBalancerContext; event: object }) => ({
        messages: [
          {
            to: amphoraAddress(context, about(event)),
            event: { type: stale ? ('STALE' as const) : ('ALIVE' as const) },
          },
        ],
      }),
    },
  ];
}

/** The changes of this pass are not in force, and show why. */
export function rejection({ withhold }: { withhold: boolean }) {
  return rows((context) => [
    {
      op: 'reject',
      loadBalancerId: context.loadBalancerId,
      beyond: context.appliedRevision,
      through: context.pass.revision,
      error: context.error ?? deadlineError('updating'),
      withhold,
    },
  ]);
}

/** Remember why an effect failed. */
export function failedEffect() {
  return {
    type: 'fail' as const,
    params: ({ event }: { event: { error: unknown } }) => caught(event.error),
  };
}

/** Remember why an amphora failed. */
export function failedReport() {
  return {
    type: 'fail' as const,
    params: ({ event }: { event: { error: ErrorRecord } }) => event.error,
  };
}

/** Remember that a state took longer than it may. */
export function expired(step: string) {
  return { type: 'fail' as const, params: deadlineError(step) };
}
