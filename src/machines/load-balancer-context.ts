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
  standing: Standing;
}

/**
 * Whether an amphora of a pair is counted on. One that does not keep up with the other is to leave, and is excluded as soon as
 * its row says so; when it answers again, it rejoins in rounds of their own, and is included again once it is in step.
 */
export type Standing = 'included' | 'leaving' | 'excluded' | 'answering' | 'rejoining';

/** What a load balancer remembers between events. */
export interface LoadBalancerContext {
  loadBalancerId: string;
  topology: Topology;
  amphoraIds: string[];
  /** Those that were spawned. */
  amphorae: AmphoraProgress[];
  /** One was excluded or included since the last push: the others do not know it yet. */
  peersChanged: boolean;
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
  return { id, role, phase: 'waiting', revision: 0, standing: 'included' };
}

/** What a report changes. */
export function noted(
  { amphorae, peersChanged }: LoadBalancerContext,
  event: AmphoraReport | HealthReport,
): Pick<LoadBalancerContext, 'amphorae' | 'peersChanged'> {
  const after = amphorae.map((amphora) =>
    amphora.id === event.amphoraId ? advanced(amphora, event) : amphora,
  );
  const turned = after.some(
    ({ standing }, index) =>
      standing !== amphorae[index]?.standing && (standing === 'included' || standing === 'excluded'),
  );
  return { amphorae: after, peersChanged: peersChanged || turned };
}

function advanced(amphora: AmphoraProgress, event: AmphoraReport | HealthReport): AmphoraProgress {
  const { standing } = amphora;
  switch (event.type) {
    case 'AMPHORA_PLUGGED':
      return { ...amphora, phase: 'plugged' };
    case 'AMPHORA_CONFIGURED':
      return { ...amphora, phase: 'configured' };
    case 'AMPHORA_SYNCED':
      return {
        ...amphora,
        phase: 'synced',
        revision: event.revision,
        standing: standing === 'rejoining' ? 'included' : standing,
      };
    case 'AMPHORA_FAILED':
      return { ...amphora, phase: 'failed' };
    case 'AMPHORA_EXCLUDED':
      return { ...amphora, standing: standing === 'leaving' ? 'excluded' : standing };
    case 'AMPHORA_ANSWERS':
      return { ...amphora, standing: standing === 'excluded' ? 'answering' : standing };
    case 'AMPHORA_RELEASED':
      return { ...amphora, phase: 'released' };
    case 'AMPHORA_RELEASE_FAILED':
    case 'AMPHORA_STALE':
    case 'AMPHORA_ALIVE':
    case 'AMPHORA_FAILOVER_STOPPED':
      return amphora;
  }
}

/** All but the one that is being replaced, while they exist. */
export function remaining({ amphorae, replacements }: LoadBalancerContext): AmphoraProgress[] {
  return amphorae.filter(({ id, phase }) => phase !== 'released' && id !== replacements[0]?.oldId);
}

/** The amphorae that commands go to, and that are waited for. */
export function participants(context: LoadBalancerContext): AmphoraProgress[] {
  return remaining(context).filter(({ standing }) => standing === 'included' || standing === 'rejoining');
}

/** Those that are being let in again. */
export function rejoining({ amphorae }: LoadBalancerContext): AmphoraProgress[] {
  return amphorae.filter(({ standing, phase }) => standing === 'rejoining' && phase !== 'released');
}

/** There are participants, each is at least that far or was given up, and whoever was to leave has left. */
export function allReached(context: LoadBalancerContext, phase: Phase): boolean {
  const all = participants(context);
  const leaving = remaining(context).some(({ standing }) => standing === 'leaving');
  return !leaving && all.length > 0 && all.every((each) => each.phase === 'failed' || reached(each, phase));
}

/** Participants that are not that far. */
export function behind(context: LoadBalancerContext, phase: Phase): AmphoraProgress[] {
  return participants(context).filter((each) => !reached(each, phase));
}

/** An amphora that is counted on is that far, so that the load balancer can go on with it alone. */
export function oneReached(context: LoadBalancerContext, phase: Phase): boolean {
  return participants(context).some((each) => each.standing === 'included' && reached(each, phase));
}

/** Besides this amphora there is one that is counted on and has not failed. */
export function canSpare(context: LoadBalancerContext, amphoraId: string): boolean {
  return participants(context).some(
    ({ id, phase, standing }) => id !== amphoraId && phase !== 'failed' && standing === 'included',
  );
}

function reached({ phase }: AmphoraProgress, wanted: Phase): boolean {
  return phases.indexOf(phase as Phase) >= phases.indexOf(wanted);
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
