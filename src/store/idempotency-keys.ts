import { sql } from 'kysely';
import type { Queryable } from './database.ts';

/** A request that its client named, so as to be able to repeat it. */
export interface NamedRequest {
  projectId: string;
  key: string;
  /** Digest of the whole request. */
  request: string;
}

export type Claim =
  /** It is ours to do, with this id for what it makes; `again` when somebody began it before and did not finish. */
  | { kind: 'ours'; objectId: string; again: boolean }
  | { kind: 'answered'; status: number; body: string }
  /** The key belongs to another request. */
  | { kind: 'other' }
  /** Somebody is doing it. */
  | { kind: 'running' };

/** Claim a named request for so long. Of any number of callers one gets it. */
export async function claimRequest(
  db: Queryable,
  { projectId, key, request }: NamedRequest,
  { objectId, seconds }: { objectId: string; seconds: number },
): Promise<Claim> {
  const until = sql<Date>`now() + make_interval(secs => ${seconds})`;
  const ours = await db
    .insertInto('idempotency_keys')
    .values({ project_id: projectId, key, request, object_id: objectId, claimed_until: until })
    .onConflict((conflict) =>
      conflict
        .columns(['project_id', 'key'])
        .doUpdateSet({ claimed_until: until })
        .where('idempotency_keys.request', '=', request)
        .where('idempotency_keys.answer_status', 'is', null)
        .where('idempotency_keys.claimed_until', '<', sql<Date>`now()`),
    )
    .returning('object_id')
    .executeTakeFirst();
  if (ours !== undefined)
    return { kind: 'ours', objectId: ours.object_id, again: ours.object_id !== objectId };

  const row = await db
    .selectFrom('idempotency_keys')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('key', '=', key)
    .executeTakeFirst();
  if (row !== undefined && row.request !== request) return { kind: 'other' };
  if (row === undefined || row.answer_status === null) return { kind: 'running' };
  return { kind: 'answered', status: row.answer_status, body: row.answer_body ?? '' };
}

/** Keep the answer to a claimed request for those who repeat it. */
export async function keepAnswer(
  db: Queryable,
  { projectId, key }: NamedRequest,
  answer: { status: number; body: string },
): Promise<void> {
  await db
    .updateTable('idempotency_keys')
    .set({ answer_status: answer.status, answer_body: answer.body })
    .where('project_id', '=', projectId)
    .where('key', '=', key)
    .execute();
}

/** Nothing came of it: the key is free again. */
export async function forgetRequest(db: Queryable, { projectId, key }: NamedRequest): Promise<void> {
  await db
    .deleteFrom('idempotency_keys')
    .where('project_id', '=', projectId)
    .where('key', '=', key)
    .execute();
}

/** Nobody knows what came of it: who repeats it may look. */
export async function releaseRequest(db: Queryable, { projectId, key }: NamedRequest): Promise<void> {
  await db
    .updateTable('idempotency_keys')
    .set({ claimed_until: sql`now()` })
    .where('project_id', '=', projectId)
    .where('key', '=', key)
    .execute();
}

/** Remove what is older. Resolves with how many there were. */
export async function pruneRequests(db: Queryable, ageMs: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('idempotency_keys')
    .where('created_at', '<', sql<Date>`now() - make_interval(secs => ${ageMs / 1000})`)
    .executeTakeFirst();
  return Number(numDeletedRows);
}
