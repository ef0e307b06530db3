import type { ErrorRecord } from '../model/errors.ts';
import type { Replacement } from '../model/replacement.ts';
import type { AmphoraRole, Topology } from '../model/status.ts';
import type { AmphoraReport, HealthReport } from './events.ts';

/** How far an amphora has come in the current round; a later phase includes the earlier ones. */
const phases = ['waiting', 'plugged', 'configured', 'synced'] as const;
export type Phase = (typeof phases)[number];

export interface AmphoraProgress {
  id: string;
  role: AmphoraRole;
  /** `failed` is one that a failover goes on without; `released` one that was given back. */
  phase: Phase | 'failed' | 'released';
  /** What it has in force. */
  revision: number;
}

/** What a load balancer remembers between events. */
export interface LoadBalancerContext {
  loadBalancerId: string;
  topology: Topology;
  amphoraIds: string[];
  /** Those that were spawned. */
  amphorae: AmphoraProgress[];
  /** Number of the last command to the amphorae; reports of earlier rounds are ignored. */
  round: number;
  /** The newest change that the actor was told of. */
  desiredRevision: number;
  /** Up to here, everything that was not rejected is in force. */
  appliedRevision: number;
  /** Up to here, everything is in force or was rejected. */
  decidedRevision: number;
  /** The changes that are being brought into force, and are rejected together: those up to `revision`. */
  pass: { revision: number; ownChange: boolean };
  /** A change touches member ports, and no plugging has begun since. */
  memberPorts: boolean;
  /** A change that waits for the next pass is one of the load balancer's own attributes. */
  ownChange: boolean;
  /** A change was rejected and the amphorae are being brought back to what was accepted. */
  restoring: boolean;
  error: ErrorRecord | null;
  /** The VIP's port was given back. */
  vipReleased: boolean;
  /** What a failover still has to replace; the first one is in hand. */
  replacements: Replacement[];
  /** A failover succeeded: everything that was pushed is in force, also what was in ERROR before. */
  failedOver: boolean;
}

/** The amphorae of a new load balancer, with the ids that its creator chose. */
export function newAmphorae({ topology, amphoraIds }: LoadBalancerContext): AmphoraProgress[] {
  const roles: AmphoraRole[] = topology === 'SINGLE' ? ['STANDALONE'] : ['MASTER', 'BACKUP'];
  return roles.flatMap((role, index) => {
    const id = amphoraIds[index];
    return id === undefined ? [] : [newAmphora(id, role)];
  });
}

export function newAmphora(id: string, role: AmphoraRole): AmphoraProgress {
  return { id, role, phase: 'waiting', revision: 0 };
}

/** The amphorae after a report. */
export function noted(amphorae: AmphoraProgress[], event: AmphoraReport | HealthReport): AmphoraProgress[] {
  return amphorae.map((amphora) => (amphora.id === event.amphoraId ? advanced(amphora, event) : amphora));
}

function advanced(amphora: AmphoraProgress, event: AmphoraReport | HealthReport): AmphoraProgress {
  switch (event.type) {
    case 'AMPHORA_PLUGGED':
      return { ...amphora, phase: 'plugged' };
    case 'AMPHORA_CONFIGURED':
      return { ...amphora, phase: 'configured' };
    case 'AMPHORA_SYNCED':
      return { ...amphora, phase: 'synced', revision: event.revision };
    case 'AMPHORA_FAILED':
      return { ...amphora, phase: 'failed' };
    case 'AMPHORA_RELEASED':
      return { ...amphora, phase: 'released' };
    case 'AMPHORA_RELEASE_FAILED':
    case 'AMPHORA_STALE':
    case 'AMPHORA_ALIVE':
      return amphora;
  }
}

/** The amphorae that commands go to: those that exist, but for the one that is being replaced. */
export function participants({ amphorae, replacements }: LoadBalancerContext): AmphoraProgress[] {
  return amphorae.filter(({ id, phase }) => phase !== 'released' && id !== replacements[0]?.oldId);
}

/** There are participants, and each is at least that far, or was given up. */
export function allReached(context: LoadBalancerContext, phase: Phase): boolean {
  const wanted = phases.indexOf(phase);
  const all = participants(context);
  const reached = ({ phase }: AmphoraProgress) =>
    phase === 'failed' || phases.indexOf(phase as Phase) >= wanted;
  return all.length > 0 && all.every(reached);
}

/** The revision that every amphora that was not given up has in force. */
function reachedRevision(context: LoadBalancerContext): number {
  const revisions = participants(context).flatMap(({ phase, revision }) =>
    phase === 'failed' ? [] : [revision],
  );
  return revisions.length === 0 ? 0 : Math.min(...revisions);
}

/**
 * The revision that all of it is in force. A push reads the rows as they are, and so may carry changes that came after the
 * pass began; but their ports wait for the next one, and of a change that nobody has told us about we know nothing.
 */
export function revisionInForce(context: LoadBalancerContext): number {
  const { pass, desiredRevision, memberPorts } = context;
  return Math.min(reachedRevision(context), memberPorts ? pass.revision : desiredRevision);
}

/** The amphora of this id, if it is one of ours and was not given back. */
export function existing({ amphorae }: LoadBalancerContext, amphoraId: string): AmphoraProgress | undefined {
  return amphorae.find(({ id, phase }) => id === amphoraId && phase !== 'released');
}

/** The amphora that takes the place of another. */
export function replacement({ amphorae, replacements }: LoadBalancerContext): AmphoraProgress | undefined {
  return amphorae.find(({ id }) => id === replacements[0]?.newId);
}

/** The amphora that is being replaced, while it still exists. */
export function replaced({ amphorae, replacements }: LoadBalancerContext): AmphoraProgress | undefined {
  return amphorae.find(({ id, phase }) => id === replacements[0]?.oldId && phase !== 'released');
}
