import { randomUUID } from 'node:crypto';
import { partitionOf } from '../machines/address.ts';
import { machineVersions } from '../machines/registry.ts';
import type { NumberedChange } from '../store/row-changes.ts';
import { Parameters } from '../store/statement.ts';
import type { Envelope } from './bus.ts';
import { START } from './mailbox.ts';
import type { Commit } from './store.ts';
import { XSTATE_VERSION } from './versions.ts';

/**
 * Says row changes in SQL: common table expressions with their names. A change takes effect where `guard` has a row with
 * the number of its commit.
 */
export type RowChangeCompiler = (
  changes: NumberedChange[],
  parameters: Parameters,
  guard: string,
) => [name: string, sql: string][];

export interface CommitStatement {
  text: string;
  values: unknown[];
  /** What each commit sends; the statement answers the `seq` of each. */
  sent: Envelope[][];
}

/** Numbers of commits, and the `seq` of the messages by their ids. */
export interface CommitAnswer {
  guarded: number[] | null;
  advanced: number[] | null;
  seqs: Record<string, number> | null;
}

const commitColumns = `n integer, kind text, id uuid, version bigint, epoch bigint, node text, message uuid, seq bigint,
  timer text, armed bigint, state text, "previousState" text, snapshot jsonb, effects jsonb, done boolean,
  "machineVersion" integer, event jsonb, actions jsonb, handled boolean`;

/**
 * Commits of different actors as one statement, one round trip. Each takes effect as a whole or not at all, whatever
 * becomes of the others: `guard` locks the actors that this node may write as they were loaded; `consumed` and `fired`
 * take the causes away; `advanced` writes the actors; all the rest is done for those that came so far.
 *
 * The text says as little as possible about the commits, so that there are few texts to be planned.
 */
export function commitStatement(commits: Commit[], compileRowChanges: RowChangeCompiler): CommitStatement {
  const p = new Parameters();
  const sent = commits.map(outgoing);
  const numbered = <Row extends object>(rowsOf: (commit: Commit, n: number) => Row[]) =>
    commits.flatMap((commit, n) => rowsOf(commit, n).map((row) => ({ n, ...row })));
  /** Rows of commits that came so far, each as `given`, with its `actor`. */
  const given = (rows: object[], columns: string) =>
    `jsonb_to_recordset(${p.json(rows)}) AS given (n integer, ${columns}) JOIN advanced AS actor USING (n)`;

  const parts: [string, string][] = [
    [
      'guard',
      `SELECT given.* FROM jsonb_to_recordset(${p.json(numbered((commit) => [describe(commit)]))})
         AS given (${commitColumns}) CROSS JOIN LATERAL (
           SELECT FROM actors a JOIN partitions l ON l.id = a.partition
           WHERE a.kind = given.kind AND a.id = given.id AND a.version = given.version AND a.epoch <= given.epoch
             AND l.epoch = given.epoch AND l.owner = given.node
             AND NOT EXISTS (SELECT FROM messages m
               WHERE m.actor_id = a.id AND m.actor_kind = a.kind AND m.seq < given.seq)
           FOR UPDATE OF a) AS actor`,
    ],
    ['consumed', 'DELETE FROM messages USING guard WHERE messages.id = guard.message RETURNING n'],
    [
      'fired',
      `DELETE FROM timers t USING guard g
       WHERE t.actor_kind = g.kind AND t.actor_id = g.id AND t.name = g.timer AND t.armed_version = g.armed RETURNING n`,
    ],
    [
      'taken',
      // The result of an effect is not stored: the version proves that the actor still waits for it.
      `SELECT * FROM guard WHERE CASE WHEN message IS NOT NULL THEN n IN (SELECT n FROM consumed)
         WHEN timer IS NOT NULL THEN n IN (SELECT n FROM fired) ELSE true END`,
    ],
    [
      'advanced',
      `UPDATE actors a SET version = a.version + 1, epoch = t.epoch, state = t.state, snapshot = t.snapshot,
         effects = t.effects, done = t.done,
         state_since = CASE WHEN a.state = t.state THEN a.state_since ELSE now() END, machine_version = t."machineVersion",
         xstate_version = ${p.add(XSTATE_VERSION)}, updated_at = now()
       FROM taken t WHERE a.kind = t.kind AND a.id = t.id
       RETURNING n, a.kind, a.id, partition, a.version, a.epoch, node, event, "previousState", a.state, actions, handled`,
    ],
    [
      'recorded',
      `INSERT INTO actor_events (actor_kind, actor_id, version, epoch, node, event, from_state, to_state, actions, handled)
       SELECT kind, id, version, epoch, node, event, "previousState", state, actions, handled FROM advanced`,
    ],
    [
      'spawned',
      `INSERT INTO actors (kind, id, partition, machine_version, xstate_version, input)
       SELECT given.kind, given.id, partition, "machineVersion", ${p.add(XSTATE_VERSION)}, input
       FROM ${given(numbered(births), 'kind text, id uuid, "machineVersion" integer, input jsonb')}`,
    ],
    [
      'sent',
      `INSERT INTO messages (id, partition, actor_kind, actor_id, event)
       SELECT given.id, given.partition, given.kind, "actorId", given.event FROM ${given(
         numbered((_, n) => sent[n] ?? []).map((envelope, position) => ({ ...envelope, position })),
         'position integer, id uuid, partition integer, kind text, "actorId" uuid, event jsonb',
       )} ORDER BY position RETURNING id, seq`,
    ],
    [
      'disarmed',
      `DELETE FROM timers t USING ${given(numbered(disarmed), 'name text')}
       WHERE t.actor_kind = actor.kind AND t.actor_id = actor.id AND t.name = given.name`,
    ],
    [
      'armed',
      `INSERT INTO timers (actor_kind, actor_id, name, partition, event, due_at, armed_version)
       SELECT actor.kind, actor.id, name, partition, given.event, now() + "delayMs" * interval '1 millisecond', version
       FROM ${given(
         numbered(({ outcome }) => outcome.armedTimers),
         'name text, event jsonb, "delayMs" bigint',
       )}
       ON CONFLICT (actor_kind, actor_id, name) DO UPDATE
         SET event = excluded.event, due_at = excluded.due_at, armed_version = excluded.armed_version`,
    ],
  ];
  const letters = numbered(deadLetters);
  if (letters.length > 0) {
    parts.push([
      'buried',
      `INSERT INTO dead_letters (id, partition, actor_kind, actor_id, event, created_at, error)
       SELECT given.id, partition, kind, actor.id, given.event,
         coalesce((SELECT created_at FROM messages WHERE messages.id = given.id), now()), error
       FROM ${given(letters, 'id uuid, event jsonb, error text')}`,
    ]);
  }
  const changes = numbered(({ outcome }) => outcome.rowChanges.map((change) => ({ change })));
  parts.push(...compileRowChanges(changes, p, 'advanced'));

  const text = `WITH ${parts.map(([name, sql]) => `${name} AS (${sql})`).join(',\n')}
    SELECT (SELECT array_agg(n) FROM guard) AS guarded, (SELECT array_agg(n) FROM advanced) AS advanced,
      (SELECT jsonb_object_agg(id, seq) FROM sent) AS seqs`;
  return { text, values: p.values, sent };
}

function describe(commit: Commit): object {
  const { actor, cause, outcome, epoch, node, event } = commit;
  return {
    kind: actor.kind,
    id: actor.id,
    version: actor.version,
    epoch,
    node,
    ...(cause.from === 'message' && { message: cause.messageId, seq: cause.seq }),
    ...(cause.from === 'timer' && { timer: cause.name, armed: cause.armedVersion }),
    state: outcome.state,
    previousState: outcome.previousState,
    snapshot: outcome.snapshot,
    effects: outcome.effects,
    done: outcome.done,
    machineVersion: machineVersions[actor.kind],
    event,
    actions: summary(commit),
    handled: outcome.handled,
  };
}

function outgoing({ outcome, actor }: Commit): Envelope[] {
  const starts = outcome.spawned.map(({ address }) => ({ to: address, event: START }));
  return [...starts, ...outcome.messages].map(({ to, event }) => ({
    id: randomUUID(),
    seq: 0,
    partition: to.loadBalancerId === actor.id ? actor.partition : partitionOf(to.loadBalancerId),
    kind: to.kind,
    actorId: to.id,
    event,
  }));
}

function births({ outcome }: Commit): object[] {
  return outcome.spawned.map(({ address: { kind, id }, input }) => ({
    kind,
    id,
    machineVersion: machineVersions[kind],
    input,
  }));
}

/** Timers to be removed: one that has just fired is gone, and one that is armed again is replaced. */
function disarmed({ outcome, cause }: Commit): { name: string }[] {
  const kept = new Set(outcome.armedTimers.map(({ name }) => name));
  if (cause.from === 'timer') kept.add(cause.name);
  return outcome.disarmedTimers.filter((name) => !kept.has(name)).map((name) => ({ name }));
}

function deadLetters({ cause, deadLetter }: Commit): object[] {
  const id = cause.from === 'message' ? cause.messageId : randomUUID();
  return deadLetter ? [{ id, ...deadLetter }] : [];
}

/** What the transition did, for the actor's history. */
function summary({ outcome }: Commit): object[] {
  return [
    ...outcome.stoppedEffects.map((id) => ({ stopped: id })),
    ...outcome.startedEffects.map((id) => ({ started: id })),
    ...outcome.armedTimers.map(({ name, delayMs }) => ({ armed: name, delayMs })),
    ...outcome.messages.map(({ to, event }) => ({ sent: event.type, to: `${to.kind}/${to.id}` })),
    ...outcome.rowChanges.map(({ op }) => ({ rows: op })),
  ];
}
