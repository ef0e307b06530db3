import { type Selectable, sql } from 'kysely';
import type { Db } from '../store/database.ts';
import type { StatusEventTable } from '../store/schema.ts';
import type { StatusEvent } from './event.ts';

/** The most events of one turn. Publishing them takes a few milliseconds, and a failed turn repeats no more than these. */
export const TURN_SIZE = 500;

export interface TurnOptions {
  /** Who asks. */
  publisher: string;
  /** Events that wait for longer than this are published by whoever comes first: their publisher must have gone. */
  patienceMs: number;
}

/**
 * Take a turn at publishing: hand over the oldest events and, when `publish` has resolved, forget them. Turns never
 * overlap, whichever processes take them. A process that hangs in a turn loses it to `idle_in_transaction_session_timeout`.
 * @param publish `succession`: somebody else had the turn before.
 * @returns how many events were published; 0 also when it is another's turn
 */
export async function takeTurn(
  db: Db,
  { publisher, patienceMs }: TurnOptions,
  publish: (events: StatusEvent[], succession: boolean) => Promise<void>,
): Promise<number> {
  if (!(await isDue(db, publisher, patienceMs))) return 0;
  return db.transaction().execute(async (transaction) => {
    const turn = await transaction
      .selectFrom('status_publisher')
      .select('holder')
      // Events that come back with the power are on the stream already, which knows them.
      .select(sql`set_config('synchronous_commit', 'off', true)`.as('_'))
      .forUpdate()
      .skipLocked()
      .executeTakeFirst();
    if (turn === undefined) return 0;
    const rows = await transaction
      .selectFrom('status_events')
      .selectAll()
      .orderBy('sequence')
      .limit(TURN_SIZE)
      .execute();
    if (rows.length === 0) return 0;
    await publish(rows.map(toEvent), turn.holder !== publisher);
    await transaction
      .deleteFrom('status_events')
      .where('sequence', '=', sql<number>`any(${rows.map(({ sequence }) => sequence)})`)
      .execute();
    if (turn.holder !== publisher)
      await transaction.updateTable('status_publisher').set({ holder: publisher }).execute();
    return rows.length;
  });
}

/** Let anybody take the next turn at once. */
export async function giveUpTurn(db: Db, publisher: string): Promise<void> {
  await db.updateTable('status_publisher').set({ holder: null }).where('holder', '=', publisher).execute();
}

/** A look without a lock, which is all that most calls need. */
async function isDue(db: Db, publisher: string, patienceMs: number): Promise<boolean> {
  const oldest = await db
    .selectFrom('status_events')
    .select([
      sql<boolean>`time < now() - ${patienceMs} * interval '1 millisecond'`.as('forgotten'),
      sql<string | null>`(select holder from status_publisher)`.as('holder'),
    ])
    .orderBy('sequence')
    .limit(1)
    .executeTakeFirst();
  if (oldest === undefined) return false;
  return oldest.forgotten || oldest.holder === null || oldest.holder === publisher;
}

/** The checks of the tables hold the statuses to the words that the schema knows. */
function toEvent(row: Selectable<StatusEventTable>): StatusEvent {
  const { sequence, resource, id, project_id, revision, operation } = row;
  const before = {
    provisioning_status: row.old_provisioning_status,
    operating_status: row.old_operating_status,
  };
  const after = {
    provisioning_status: row.new_provisioning_status,
    operating_status: row.new_operating_status,
  };
  return {
    sequence,
    time: row.time.toISOString(),
    resource,
    id,
    project_id,
    loadbalancer_id: row.load_balancer_id,
    revision,
    old: operation === 'INSERT' ? null : before,
    new: operation === 'DELETE' ? null : after,
  } as StatusEvent;
}
