import { randomUUID } from 'node:crypto';
import { partitionOf } from '../machines/address.ts';
import type { NumberedChange } from '../store/row-changes.ts';
import { Parameters } from '../store/statement.ts';
import type { Envelope } from './bus.ts';
import type { Outcome } from './interpreter.ts';
import type { Commit } from './store.ts';
import { letterOf, type Part, partsOf, sentBy } from './turn.ts';
import { XSTATE_VERSION } from './versions.ts';

/**
 * Says row changes in SQL: common table expressions with their names. A change takes effect where `guard` has a row with
 * the number of its commit. With `sparse`, nothing is said of kinds of changes that do not occur.
 */
export type RowChangeCompiler = (
  changes: NumberedChange[],
  parameters: Parameters,
  guard: string,
  sparse: boolean,
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
  made: number[] | null;
  seqs: Record<string, number> | null;
}

/** What is written of an actor. */
const actorColumns = `kind text, id uuid, version bigint, state text, snapshot jsonb, effects jsonb, done boolean,
  "machineVersion" integer`;

/**
 * Commits of different partitions as one statement, one round trip. Each takes effect as a whole or not at all, whatever
 * becomes of the others: `loaded` locks the actors that this node may write and that are as they were loaded; `guard` has
 * the commits of which all are; `consumed` and `fired` take the causes away; all the rest is done for the commits in
 * `made`, which came so far.
 *
 * A commit that comes alone says only what it does. Of many, each says as little as possible about itself, so that there
 * are few texts to be planned.
 */
export function commitStatement(commits: Commit[], compileRowChanges: RowChangeCompiler): CommitStatement {
  const p = new Parameters();
  const sparse = commits.length === 1;
  const work = commits.map((commit) => ({ commit, parts: partsOf(commit) }));
  const sent = commits.map(outgoing);
  /** Rows of all commits, each with the number of its commit. */
  const numbered = <Row extends object>(rowsOf: (commit: Commit, parts: Part[], n: number) => Row[]) =>
    work.flatMap(({ commit, parts }, n) => rowsOf(commit, parts, n).map((row) => ({ n, ...row })));
  /** ... as `given`, those of commits that are made. */
  const given = (rows: object[], columns: string) =>
    `jsonb_to_recordset(${p.json(rows)}) AS given (n integer, ${columns}) JOIN made USING (n)`;

  const statements: [string, string][] = [
    [
      'asked',
      `SELECT given.* FROM jsonb_to_recordset(${p.json(numbered((commit, parts) => [describe(commit, parts)]))})
         AS given (n integer, kind text, id uuid, partition integer, epoch bigint, node text, size integer,
           message uuid, timer text, armed bigint)
       JOIN partitions l ON l.id = partition AND l.epoch = given.epoch AND l.owner = node`,
    ],
    [
      'loaded',
      `SELECT given.*, epoch FROM jsonb_to_recordset(${p.json(numbered(written))})
         AS given (n integer, ${actorColumns}, steps integer, seq bigint, follows boolean)
       JOIN asked USING (n) CROSS JOIN LATERAL (
         SELECT FROM actors a
         WHERE a.kind = given.kind AND a.id = given.id AND a.version = given.version AND a.epoch <= asked.epoch
           AND NOT EXISTS (SELECT FROM messages m WHERE m.actor_id = a.id AND m.actor_kind = a.kind
             AND (m.seq < given.seq OR follows AND m.id IS DISTINCT FROM message))
         FOR UPDATE OF a) AS actor`,
    ],
    ['guard', 'SELECT * FROM asked WHERE size = (SELECT count(*) FROM loaded WHERE loaded.n = asked.n)'],
  ];
  const conditions: string[] = [];
  const say = (name: string, rows: object[], sql: (rows: object[]) => string) => {
    if (rows.length > 0 || !sparse) statements.push([name, sql(rows)]);
  };
  const causes = (from: string) => numbered(({ cause }) => (cause.from === from ? [{}] : []));
  say('consumed', causes('message'), () => {
    conditions.push('(message IS NULL OR n IN (SELECT n FROM consumed))');
    return 'DELETE FROM messages USING guard WHERE messages.id = guard.message RETURNING n';
  });
  say('fired', causes('timer'), () => {
    conditions.push('(timer IS NULL OR n IN (SELECT n FROM fired))');
    return `DELETE FROM timers t USING guard g
      WHERE t.actor_kind = g.kind AND t.actor_id = g.id AND t.name = g.timer AND t.armed_version = g.armed RETURNING n`;
  });
  statements.push(
    // The result of an effect is not stored: the version proves that the actor still waits for it.
    [
      'made',
      `SELECT n, epoch, node FROM guard ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}`,
    ],
    [
      'advanced',
      `UPDATE actors a SET version = given.version + steps, epoch = made.epoch, state = given.state,
         snapshot = given.snapshot, effects = given.effects, done = given.done,
         state_since = CASE WHEN a.state = given.state THEN a.state_since ELSE now() END,
         machine_version = "machineVersion", xstate_version = ${p.add(XSTATE_VERSION)}, updated_at = now()
       FROM loaded given JOIN made USING (n) WHERE a.kind = given.kind AND a.id = given.id`,
    ],
    [
      'recorded',
      `INSERT INTO actor_events (actor_kind, actor_id, version, epoch, node, event, from_state, to_state, actions, handled)
       SELECT kind, id, version, epoch, node, event, "previousState", state, actions, handled
       FROM ${given(
         numbered(history),
         `position integer, kind text, id uuid, version bigint, event jsonb, "previousState" text, state text,
           actions jsonb, handled boolean`,
       )} ORDER BY n, position`,
    ],
  );
  say(
    'born',
    numbered(births),
    (rows) =>
      `INSERT INTO actors (kind, id, partition, machine_version, xstate_version, input, version, epoch, state, snapshot,
         effects, done)
       SELECT kind, id, partition, "machineVersion", ${p.add(XSTATE_VERSION)}, input, version, epoch, state, snapshot,
         effects, done FROM ${given(rows, `${actorColumns}, partition integer, input jsonb`)}`,
  );
  say(
    'sent',
    numbered((_, __, n) => (sent[n] ?? []).map((envelope, position) => ({ ...envelope, position }))),
    (rows) =>
      `INSERT INTO messages (id, partition, actor_kind, actor_id, event)
       SELECT id, partition, kind, "actorId", event FROM ${given(
         rows,
         'position integer, id uuid, partition integer, kind text, "actorId" uuid, event jsonb',
       )} ORDER BY n, position RETURNING id, seq`,
  );
  say(
    'disarmed',
    numbered(disarmed),
    (rows) =>
      `DELETE FROM timers t USING ${given(rows, 'kind text, id uuid, name text')}
       WHERE t.actor_kind = given.kind AND t.actor_id = given.id AND t.name = given.name`,
  );
  say(
    'armed',
    numbered(armed),
    (rows) =>
      `INSERT INTO timers (actor_kind, actor_id, name, partition, event, due_at, armed_version)
       SELECT kind, id, name, partition, event, now() + "delayMs" * interval '1 millisecond', version
       FROM ${given(
         rows,
         'kind text, id uuid, name text, partition integer, event jsonb, "delayMs" bigint, version bigint',
       )}
       ON CONFLICT (actor_kind, actor_id, name) DO UPDATE
         SET event = excluded.event, due_at = excluded.due_at, armed_version = excluded.armed_version`,
  );
  const letters = numbered(deadLetters);
  if (letters.length > 0) {
    statements.push([
      'buried',
      `INSERT INTO dead_letters (id, partition, actor_kind, actor_id, event, created_at, error)
       SELECT id, partition, kind, actor, event,
         coalesce((SELECT created_at FROM messages WHERE messages.id = given.id), now()), error
       FROM ${given(letters, 'id uuid, partition integer, kind text, actor uuid, event jsonb, error text')}`,
    ]);
  }
  const changes = numbered((_, parts) =>
    parts.flatMap(({ outcome }) => outcome.rowChanges.map((change) => ({ change }))),
  );
  statements.push(...compileRowChanges(changes, p, 'made', sparse));

  const seqs = statements.some(([name]) => name === 'sent')
    ? '(SELECT jsonb_object_agg(id, seq) FROM sent)'
    : 'NULL';
  const text = `WITH ${statements.map(([name, sql]) => `${name} AS (${sql})`).join(',\n')}
    SELECT (SELECT array_agg(n) FROM guard) AS guarded, (SELECT array_agg(n) FROM made) AS made, ${seqs} AS seqs`;
  return { text, values: p.values, sent };
}

function describe({ actor, cause, epoch, node }: Commit, parts: Part[]): object {
  return {
    ...{ kind: actor.kind, id: actor.id, partition: actor.partition, epoch, node },
    size: parts.filter(({ born }) => !born).length,
    ...(cause.from === 'message' && { message: cause.messageId }),
    ...(cause.from === 'timer' && { timer: cause.name, armed: cause.armedVersion }),
  };
}

/** The actors that exist already: as they were loaded, what they wait for, and as they are to be. */
function written({ actor, cause }: Commit, parts: Part[]): object[] {
  return parts
    .filter(({ born }) => !born)
    .map(({ before, after, steps }) => ({
      ...columnsOf(after),
      version: before.version,
      steps: steps.length,
      follows: before !== actor || steps.length > 1,
      ...(before === actor && cause.from === 'message' && { seq: cause.seq }),
    }));
}

function births(_: Commit, parts: Part[]): object[] {
  return parts
    .filter(({ born }) => born)
    .map(({ after }) => ({ ...columnsOf(after), partition: after.partition, input: after.input }));
}

function columnsOf({
  kind,
  id,
  version,
  state,
  snapshot,
  effects,
  done,
  machineVersion,
}: Part['after']): object {
  return { kind, id, version, state, snapshot, effects, done, machineVersion };
}

/** Each step for the history of its actor, in their order. */
function history(commit: Commit): object[] {
  return [commit, ...commit.followers].map(({ actor, event, outcome }, position) => ({
    ...{ position, kind: actor.kind, id: actor.id, version: actor.version + 1, event },
    previousState: outcome.previousState,
    state: outcome.state,
    actions: summary(outcome),
    handled: outcome.handled,
  }));
}

/** What is sent and not taken by a follower. */
function outgoing(commit: Commit): Envelope[] {
  const { actor, followers } = commit;
  const taken = new Set(followers.map(({ takes }) => takes));
  return [commit, ...followers]
    .flatMap(({ outcome }) => sentBy(outcome))
    .filter((sent) => !taken.has(sent))
    .map((sent) => {
      const { to, event } = letterOf(sent);
      const partition = to.loadBalancerId === actor.id ? actor.partition : partitionOf(to.loadBalancerId);
      return { id: randomUUID(), seq: 0, partition, kind: to.kind, actorId: to.id, event };
    });
}

/** Timers to be removed: one that has just fired is gone, and one that is armed again is replaced. */
function disarmed({ actor, cause }: Commit, parts: Part[]): object[] {
  return parts.flatMap(({ before: { kind, id }, outcome, born }) => {
    if (born) return [];
    const kept = new Set(outcome.armedTimers.map(({ name }) => name));
    if (cause.from === 'timer' && actor.kind === kind && actor.id === id) kept.add(cause.name);
    return outcome.disarmedTimers.filter((name) => !kept.has(name)).map((name) => ({ kind, id, name }));
  });
}

function armed(_: Commit, parts: Part[]): object[] {
  return parts.flatMap(({ after: { kind, id, partition, version }, outcome }) =>
    outcome.armedTimers.map((timer) => ({ kind, id, partition, version, ...timer })),
  );
}

function deadLetters({ actor, cause, deadLetter }: Commit): object[] {
  const id = cause.from === 'message' ? cause.messageId : randomUUID();
  const { kind, id: actorId, partition } = actor;
  return deadLetter ? [{ id, partition, kind, actor: actorId, ...deadLetter }] : [];
}

/** What the transition did, for the actor's history. */
function summary(outcome: Outcome): object[] {
  return [
    ...outcome.stoppedEffects.map((id) => ({ stopped: id })),
    ...outcome.startedEffects.map((id) => ({ started: id })),
    ...outcome.armedTimers.map(({ name, delayMs }) => ({ armed: name, delayMs })),
    ...outcome.messages.map(({ to, event }) => ({ sent: event.type, to: `${to.kind}/${to.id}` })),
    ...outcome.rowChanges.map(({ op }) => ({ rows: op })),
  ];
}
