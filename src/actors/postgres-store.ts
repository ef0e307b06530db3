import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { partitionOf } from '../machines/address.ts';
import { machineVersions } from '../machines/registry.ts';
import type { RowChange } from '../machines/row-change.ts';
import { rethrow } from '../store/database-errors.ts';
import { Parameters, statementName } from '../store/statement.ts';
import type { Envelope } from './bus.ts';
import { START } from './mailbox.ts';
import { Slots } from './slots.ts';
import type { ActorId, ActorRow, ActorStore, Commit, CommitResult, Lease, StoredTimer } from './store.ts';
import { XSTATE_VERSION } from './versions.ts';

/** Says row changes in SQL: named common table expressions that act only where `guard` has a row. */
export type RowChangeCompiler = (
  changes: RowChange[],
  parameters: Parameters,
  guard: string,
) => [name: string, sql: string][];

type DeadLetter = NonNullable<Commit['deadLetter']>;

/** The runtime's store in PostgreSQL. */
export class PostgresActorStore implements ActorStore {
  readonly #pool: pg.Pool;
  readonly #slots: Slots;
  readonly #compileRowChanges: RowChangeCompiler;

  constructor(pool: pg.Pool, compileRowChanges: RowChangeCompiler) {
    this.#pool = pool;
    this.#slots = new Slots(pool.options.max);
    this.#compileRowChanges = compileRowChanges;
  }

  async load({ kind, id }: ActorId): Promise<ActorRow | undefined> {
    const { rows } = await this.#query(`${selectActor} WHERE kind = $1 AND id = $2`, [kind, id]);
    return rows[0] && toActor(rows[0]);
  }

  /**
   * One statement, one round trip. `guard` locks the actor and proves that this node may write it; `consumed` takes the
   * cause away; `advanced` writes the actor; all the rest happens only if these three did.
   */
  async commit(commit: Commit): Promise<CommitResult> {
    const { actor, outcome } = commit;
    const sent = outgoing(commit);
    const p = new Parameters();
    const kind = p.add(actor.kind, 'text');
    const id = p.add(actor.id, 'uuid');
    const epoch = p.add(commit.epoch, 'bigint');
    const node = p.add(commit.node, 'text');

    const parts: [string, string][] = [
      [
        'guard',
        `SELECT a.id FROM actors a JOIN partitions l ON l.id = a.partition
         WHERE a.kind = ${kind} AND a.id = ${id} AND a.version = ${p.add(actor.version)} AND a.epoch <= ${epoch}
           AND l.epoch = ${epoch} AND l.owner = ${node}${this.#inOrder(commit, p)} FOR UPDATE OF a`,
      ],
      ['consumed', this.#consume(commit, p)],
      [
        'advanced',
        `UPDATE actors SET version = version + 1, epoch = ${epoch}, state = ${p.add(outcome.state)},
           snapshot = ${p.json(outcome.snapshot)}, effects = ${p.json(outcome.effects)}, done = ${p.add(outcome.done)},
           machine_version = ${p.add(machineVersions[actor.kind])}, xstate_version = ${p.add(XSTATE_VERSION)},
           updated_at = now()
         WHERE kind = ${kind} AND id = ${id} AND EXISTS (SELECT 1 FROM consumed) RETURNING version`,
      ],
      [
        'recorded',
        `INSERT INTO actor_events (actor_kind, actor_id, version, epoch, node, event, from_state, to_state, actions,
           handled)
         SELECT ${kind}, ${id}, version, ${epoch}, ${node}, ${p.json(commit.event)}, ${p.add(outcome.previousState)},
           ${p.add(outcome.state)}, ${p.json(summary(commit))}, ${p.add(outcome.handled, 'boolean')} FROM advanced`,
      ],
    ];
    if (commit.deadLetter) parts.push(['buried', this.#buried(commit, commit.deadLetter, p)]);
    if (outcome.spawned.length > 0) {
      parts.push([
        'spawned',
        `INSERT INTO actors (kind, id, partition, machine_version, xstate_version, input)
         SELECT kind, id, ${p.add(actor.partition, 'integer')}, version, ${p.add(XSTATE_VERSION)}, input
         FROM jsonb_to_recordset(${p.json(spawnRows(commit))}) AS actor (kind text, id uuid, version integer, input jsonb)
         WHERE EXISTS (SELECT 1 FROM advanced)`,
      ]);
    }
    if (sent.length > 0) {
      parts.push([
        'sent',
        `INSERT INTO messages (id, partition, actor_kind, actor_id, event)
         SELECT id, partition, kind, "actorId", event
         FROM jsonb_to_recordset(${p.json(sent)})
           AS message (id uuid, partition integer, kind text, "actorId" uuid, event jsonb)
         WHERE EXISTS (SELECT 1 FROM advanced) RETURNING id, seq`,
      ]);
    }
    parts.push(...this.#timerParts(commit, kind, id, p));
    parts.push(...this.#compileRowChanges(outcome.rowChanges, p, 'advanced'));

    const { rows } = await this.#query(
      `WITH ${parts.map(([name, sql]) => `${name} AS (${sql})`).join(',\n')}
       SELECT (SELECT count(*)::int FROM guard) AS guarded, (SELECT count(*)::int FROM advanced) AS advanced,
         ${sent.length > 0 ? `(SELECT jsonb_object_agg(id, seq) FROM sent)` : 'NULL'} AS seqs`,
      p.values,
    );
    const { guarded, advanced, seqs } = rows[0] as {
      guarded: number;
      advanced: number;
      seqs: Record<string, number> | null;
    };
    if (advanced === 1) {
      return {
        result: 'committed',
        sent: sent.map((envelope) => ({ ...envelope, seq: seqs?.[envelope.id] ?? 0 })),
      };
    }
    return { result: guarded === 1 ? 'duplicate' : await this.#whyRefused(commit) };
  }

  /** Messages of one actor are processed in the order of `seq`: an earlier one that waits refuses the commit. */
  #inOrder({ cause }: Commit, p: Parameters): string {
    if (cause.from !== 'message') return '';
    return ` AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.actor_id = a.id AND m.actor_kind = a.kind
      AND m.seq < ${p.add(cause.seq)})`;
  }

  #consume({ actor, cause }: Commit, p: Parameters): string {
    switch (cause.from) {
      case 'message':
        return `DELETE FROM messages USING guard WHERE messages.id = ${p.add(cause.messageId)} RETURNING messages.id`;
      case 'timer':
        return `DELETE FROM timers USING guard WHERE actor_kind = ${p.add(actor.kind)} AND actor_id = guard.id
          AND name = ${p.add(cause.name)} AND armed_version = ${p.add(cause.armedVersion)} RETURNING name`;
      case 'effect':
        // The version in the guard proves that the effect is still the one that the actor waits for.
        return 'SELECT id FROM guard';
    }
  }

  #buried({ actor, cause }: Commit, { event, error }: DeadLetter, p: Parameters): string {
    const id = p.add(cause.from === 'message' ? cause.messageId : randomUUID(), 'uuid');
    return `INSERT INTO dead_letters (id, partition, actor_kind, actor_id, event, created_at, error)
      SELECT ${id}, ${p.add(actor.partition, 'integer')}, ${p.add(actor.kind, 'text')}, ${p.add(actor.id, 'uuid')},
        ${p.json(event)}, coalesce((SELECT created_at FROM messages WHERE messages.id = ${id}), now()),
        ${p.add(error, 'text')} FROM advanced`;
  }

  #timerParts(
    { actor, outcome, cause }: Commit,
    kind: string,
    id: string,
    p: Parameters,
  ): [string, string][] {
    const parts: [string, string][] = [];
    const fired = cause.from === 'timer' ? cause.name : undefined;
    const armed = new Set(outcome.armedTimers.map(({ name }) => name));
    const disarmed = outcome.disarmedTimers.filter((name) => name !== fired && !armed.has(name));
    if (disarmed.length > 0) {
      parts.push([
        'disarmed',
        `DELETE FROM timers WHERE actor_kind = ${kind} AND actor_id = ${id} AND name = ANY (${p.add(disarmed)})
           AND EXISTS (SELECT 1 FROM advanced)`,
      ]);
    }
    if (outcome.armedTimers.length > 0) {
      parts.push([
        'armed',
        `INSERT INTO timers (actor_kind, actor_id, name, partition, event, due_at, armed_version)
         SELECT ${kind}, ${id}, name, ${p.add(actor.partition, 'integer')}, event, now() + "delayMs" * interval '1 millisecond',
           ${p.add(actor.version + 1, 'bigint')}
         FROM jsonb_to_recordset(${p.json(outcome.armedTimers)}) AS timer (name text, event jsonb, "delayMs" bigint)
         WHERE EXISTS (SELECT 1 FROM advanced)
         ON CONFLICT (actor_kind, actor_id, name) DO UPDATE
           SET event = excluded.event, due_at = excluded.due_at, armed_version = excluded.armed_version`,
      ]);
    }
    return parts;
  }

  async #whyRefused({
    actor,
    cause,
    node,
    epoch,
  }: Commit): Promise<'duplicate' | 'conflict' | 'disordered' | 'fenced'> {
    const { rows } = await this.#query(
      `SELECT a.version, l.epoch = $3 AND l.owner = $4 AND a.epoch <= $3 AS mine
       FROM actors a JOIN partitions l ON l.id = a.partition WHERE a.kind = $1 AND a.id = $2`,
      [actor.kind, actor.id, epoch, node],
    );
    const row = rows[0] as { version: number; mine: boolean } | undefined;
    if (!row) return 'duplicate';
    if (!row.mine) return 'fenced';
    if (row.version !== actor.version) return 'conflict';
    return cause.from === 'message' ? 'disordered' : 'conflict';
  }

  async mailbox({ kind, id }: ActorId, limit: number): Promise<Envelope[]> {
    const { rows } = await this.#query(
      `${selectMessage} WHERE actor_kind = $1 AND actor_id = $2 ORDER BY seq LIMIT $3`,
      [kind, id, limit],
    );
    return rows.map(toEnvelope);
  }

  async waiting(partitions: number[], limit: number): Promise<Envelope[]> {
    const { rows } = await this.#query(
      `${selectMessage} WHERE partition = ANY ($1) AND ${notQuarantined} ORDER BY seq LIMIT $2`,
      [partitions, limit],
    );
    return rows.map(toEnvelope);
  }

  async busy(partition: number): Promise<ActorRow[]> {
    const { rows } = await this.#query(
      `${selectActor} WHERE partition = $1 AND effects <> '{}' AND quarantined IS NULL`,
      [partition],
    );
    return rows.map(toActor);
  }

  async timers(partitions: number[], horizonMs: number): Promise<StoredTimer[]> {
    const { rows } = await this.#query(
      `SELECT actor_kind AS kind, actor_id AS id, partition, name, event, armed_version AS "armedVersion",
         (extract(epoch FROM due_at - now()) * 1000)::float8 AS "dueInMs"
       FROM timers WHERE partition = ANY ($1) AND due_at <= now() + $2 * interval '1 millisecond'
         AND ${notQuarantined}`,
      [partitions, horizonMs],
    );
    return rows as unknown as StoredTimer[];
  }

  async bury(envelope: Envelope, error: string): Promise<void> {
    await this.#query(
      `WITH taken AS (DELETE FROM messages WHERE id = $1 RETURNING *)
       INSERT INTO dead_letters (id, partition, actor_kind, actor_id, event, created_at, error)
       SELECT id, partition, actor_kind, actor_id, event, created_at, $2 FROM taken`,
      [envelope.id, error],
    );
  }

  async quarantine(
    { kind, id, version }: ActorRow,
    reason: string,
    node: string,
    epoch: number,
  ): Promise<void> {
    await this.#query(
      `UPDATE actors SET quarantined = $4 FROM partitions l
       WHERE kind = $1 AND actors.id = $2 AND version = $3 AND l.id = partition AND l.owner = $5 AND l.epoch = $6`,
      [kind, id, version, reason, node, epoch],
    );
  }

  async renewLeases(
    node: string,
    leaseMs: number,
    inherit: boolean,
  ): Promise<{ leases: Lease[]; share: number }> {
    await this.#queryAtOnce(
      `INSERT INTO nodes (id, seen_at, draining) VALUES ($1, now(), false)
       ON CONFLICT (id) DO UPDATE SET seen_at = now(), draining = false`,
      [node],
    );
    const life = `now() + $2 * interval '1 millisecond'`;
    if (!inherit) {
      await this.#queryAtOnce(
        `UPDATE partitions SET lease_until = ${life} WHERE owner = $1 AND lease_until > now()`,
        [node, leaseMs],
      );
    }
    const { rows } = await this.#queryAtOnce(
      `SELECT (SELECT count(*)::int FROM nodes WHERE seen_at > now() - $2 * interval '1 millisecond') AS nodes,
         (SELECT count(*)::int FROM partitions) AS partitions,
         (SELECT count(*)::int FROM partitions WHERE owner = $1 AND lease_until > now() AND NOT $3) AS held`,
      [node, leaseMs, inherit],
    );
    const { nodes, partitions, held } = rows[0] as { nodes: number; partitions: number; held: number };
    const share = Math.ceil(partitions / Math.max(nodes, 1));
    await this.#queryAtOnce(
      `UPDATE partitions SET owner = $1, epoch = epoch + 1, lease_until = ${life}
       WHERE id IN (
         SELECT id FROM partitions WHERE owner IS NULL OR lease_until <= now() OR ($3 AND owner = $1)
         ORDER BY (owner = $1) DESC NULLS LAST, random() LIMIT $4 FOR UPDATE SKIP LOCKED)`,
      [node, leaseMs, inherit, Math.max(share - held, 0)],
    );
    const { rows: leases } = await this.#queryAtOnce(
      'SELECT id AS partition, epoch FROM partitions WHERE owner = $1 AND lease_until > now() ORDER BY id',
      [node],
    );
    return { leases: leases as unknown as Lease[], share };
  }

  async releaseLeases(node: string, partitions: number[]): Promise<void> {
    await this.#queryAtOnce(
      `UPDATE partitions SET owner = NULL, lease_until = '-infinity' WHERE owner = $1 AND id = ANY ($2)`,
      [node, partitions],
    );
  }

  async removeNode(node: string): Promise<void> {
    await this.#queryAtOnce('DELETE FROM nodes WHERE id = $1', [node]);
  }

  /** Thousands of commits may wait, but here and not in the pool, where leases and the API would wait behind them. */
  async #query(text: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }> {
    return this.#slots.use(() => this.#queryAtOnce(text, values));
  }

  async #queryAtOnce(text: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }> {
    return this.#pool.query({ name: statementName(text) ?? '', text, values }).catch(rethrow);
  }
}

const selectActor = `SELECT kind, id, partition, machine_version AS "machineVersion", state, snapshot, input, effects,
  version, done, quarantined FROM actors`;

const selectMessage = `SELECT id, seq, partition, actor_kind AS kind, actor_id AS "actorId", event FROM messages`;

/** Few actors ever are, and an index knows them. */
const notQuarantined = `(actor_kind, actor_id) NOT IN (SELECT kind, id FROM actors WHERE quarantined IS NOT NULL)`;

const toActor = (row: Record<string, unknown>) => row as unknown as ActorRow;
const toEnvelope = (row: Record<string, unknown>) => row as unknown as Envelope;

function outgoing({ outcome, actor }: Commit): Envelope[] {
  const births = outcome.spawned.map(({ address }) => ({ to: address, event: START }));
  return [...births, ...outcome.messages].map(({ to, event }) => ({
    id: randomUUID(),
    seq: 0,
    partition: to.loadBalancerId === actor.id ? actor.partition : partitionOf(to.loadBalancerId),
    kind: to.kind,
    actorId: to.id,
    event,
  }));
}

function spawnRows({ outcome }: Commit) {
  return outcome.spawned.map(({ address, input }) => ({
    kind: address.kind,
    id: address.id,
    version: machineVersions[address.kind],
    input,
  }));
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
