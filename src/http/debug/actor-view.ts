import type { EffectsProgress } from '../../actors/trace.ts';
import type { ActorKind } from '../../machines/address.ts';
import type { ErrorRecord } from '../../model/errors.ts';
import { eventAt, type HistoryEvent } from '../../store/actor-history.ts';
import { databaseTime, type ListedActor, listedActors } from '../../store/actor-list.ts';
import { type Actor, type ActorRef, amphoraIdsOf, armedTimers, waitingMessages } from '../../store/actors.ts';
import type { Db } from '../../store/database.ts';
import { findActor } from './actor-path.ts';
import type { Live } from './live.ts';

/** How many waiting messages are shown. */
const SHOWN_MESSAGES = 20;

/** An actor with all that its page shows, as of one moment. */
export interface ActorView {
  actor: Actor;
  /** The database's clock. */
  now: string;
  /** What users see of it; undefined when its row is gone. */
  statuses: Statuses | undefined;
  /** The event that it took last. */
  last: HistoryEvent | undefined;
  /** How far its effects have come; undefined when nobody says so. */
  progress: EffectsProgress | undefined;
  timers: Awaited<ReturnType<typeof armedTimers>>;
  messages: Awaited<ReturnType<typeof waitingMessages>>;
  /** The load balancer and its amphorae, this one among them. */
  family: ListedActor[];
}

interface Statuses {
  name?: string;
  provisioning_status?: string;
  operating_status?: string;
  status?: string;
  role?: string;
  project_id?: string;
  vip_address?: string | null;
  lb_network_ip?: string | null;
  compute_id?: string | null;
  error_code: string | null;
  error_message: string | null;
}

/** Read an actor with all that hangs on it; undefined when there is none. */
export async function viewActor(
  db: Db,
  live: Live | undefined,
  ref: ActorRef,
): Promise<ActorView | undefined> {
  const actor = await findActor(db, ref);
  if (actor === undefined) return undefined;
  const running = Object.keys(actor.effects).length > 0;
  const [now, statuses, last, progress, timers, messages, family] = await Promise.all([
    databaseTime(db),
    statusesOf(db, ref),
    eventAt(db, ref, actor.version),
    running ? live?.progress({ ...ref, partition: actor.partition }) : {},
    armedTimers(db, ref),
    waitingMessages(db, ref, SHOWN_MESSAGES),
    familyOf(db, actor),
  ]);
  return { actor, now, statuses, last, progress, timers, messages, family };
}

/** What the actor remembers; null before its first event. */
export function contextOf({ snapshot }: Actor): object | null {
  return (snapshot as { context?: object } | null)?.context ?? null;
}

async function familyOf(db: Db, actor: Actor): Promise<ListedActor[]> {
  const loadBalancer = { kind: 'load-balancer' as const, id: actor.load_balancer_id };
  const amphorae = (await amphoraIdsOf(db, loadBalancer.id)).map((id) => ({ kind: 'amphora' as const, id }));
  const known = [loadBalancer, ...amphorae];
  const all = known.some(({ id }) => id === actor.id)
    ? known
    : [...known, { kind: actor.kind, id: actor.id }];
  const rows = await listedActors(db, all);
  return all.flatMap(({ id }) => rows.find((row) => row.id === id) ?? []);
}

async function statusesOf(db: Db, { kind, id }: ActorRef): Promise<Statuses | undefined> {
  const read: Record<ActorKind, () => Promise<Statuses | undefined>> = {
    'load-balancer': () =>
      db
        .selectFrom('load_balancers')
        .select(['name', 'provisioning_status', 'operating_status', 'project_id', 'vip_address'])
        .select(['error_code', 'error_message'])
        .where('id', '=', id)
        .executeTakeFirst(),
    amphora: () =>
      db
        .selectFrom('amphorae')
        .select(['status', 'role', 'lb_network_ip', 'compute_id', 'error_code', 'error_message'])
        .where('id', '=', id)
        .executeTakeFirst(),
  };
  return read[kind]();
}

/** What a running effect is called and where it stands. */
export interface PendingEffect {
  id: string;
  src: string;
  attempt: number | undefined;
  attempts: number | null | undefined;
  /** When all its attempts are given up, by the clock of `now`. */
  until: string | undefined;
  error: ErrorRecord | null;
}

/** The effects that an actor waits for. What their node does not say is undefined, never guessed. */
export function pendingEffects({ actor, now, progress }: ActorView): PendingEffect[] {
  return Object.entries(actor.effects as Record<string, { src: string }>).map(([id, { src }]) => {
    const known = progress?.[id];
    return {
      id,
      src,
      attempt: known?.attempt,
      attempts: known?.attempts,
      until: known && new Date(Date.parse(now) + known.left_ms).toISOString(),
      error: known?.error ?? null,
    };
  });
}
