import type pg from 'pg';
import { Batches } from '../store/batches.ts';
import { rethrow } from '../store/database-errors.ts';
import { statementName } from '../store/statement.ts';
import type { Envelope } from './bus.ts';
import { type CommitAnswer, commitStatement, type RowChangeCompiler } from './commit-statement.ts';
import { Slots } from './slots.ts';
import type {
  ActorId,
  ActorRow,
  ActorStore,
  Commit,
  CommitResult,
  Lease,
  Renewal,
  StoredTimer,
} from './store.ts';

/** Two are enough to keep the database at work while answers are on their way; more would only make batches smaller. */
const BATCHES_AT_ONCE = 2;

/** Commits, or actors to be loaded, in one statement. */
const BATCH_SIZE = 32;

/** The runtime's store in PostgreSQL. */
export class PostgresActorStore implements ActorStore {
  readonly #pool: pg.Pool;
  readonly #slots: Slots;
  readonly #compileRowChanges: RowChangeCompiler;
  readonly #commits: Batches<Commit, CommitResult>;
  readonly #loads: Batches<ActorId, ActorRow | undefined>;

  constructor(pool: pg.Pool, compileRowChanges: RowChangeCompiler) {
    this.#pool = pool;
    this.#slots = new Slots(pool.options.max);
    this.#compileRowChanges = compileRowChanges;
    this.#commits = new Batches(
      // Actors of one partition may write the same rows: a load balancer and its amphorae.
      { atOnce: BATCHES_AT_ONCE, size: BATCH_SIZE, keyOf: ({ actor }) => actor.partition },
      (commits) => this.#commitAll(commits),
    );
    this.#loads = new Batches({ atOnce: BATCHES_AT_ONCE, size: BATCH_SIZE }, (ids) => this.#loadAll(ids));
  }

  load(actor: ActorId): Promise<ActorRow | undefined> {
    return this.#loads.add(actor);
  }

  async #loadAll(ids: ActorId[]): Promise<(ActorRow | undefined)[]> {
    const { rows } = await this.#queryAtOnce(
      `${selectActor} WHERE (kind, id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))`,
      [ids.map(({ kind }) => kind), ids.map(({ id }) => id)],
    );
    const actors = rows.map(toActor);
    return ids.map((wanted) => actors.find(({ kind, id }) => kind === wanted.kind && id === wanted.id));
  }

  commit(commit: Commit): Promise<CommitResult> {
    return this.#commits.add(commit);
  }

  async #commitAll(commits: Commit[]): Promise<CommitResult[]> {
    const { text, values, sent } = commitStatement(commits, this.#compileRowChanges);
    const { rows } = await this.#queryAtOnce(text, values);
    const { guarded, made, seqs } = rows[0] as unknown as CommitAnswer;
    return Promise.all(
      commits.map(async (commit, n): Promise<CommitResult> => {
        if (made?.includes(n)) {
          const stored = sent[n]?.map((envelope) => ({ ...envelope, seq: seqs?.[envelope.id] ?? 0 })) ?? [];
          return { result: 'committed', sent: stored };
        }
        return { result: guarded?.includes(n) ? 'duplicate' : await this.#whyRefused(commit) };
      }),
    );
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

  async renewLeases(node: string, leaseMs: number, inherit: boolean): Promise<Renewal> {
    await this.#queryAtOnce(
      `INSERT INTO nodes (id, seen_at) VALUES ($1, now()) ON CONFLICT (id) DO UPDATE SET seen_at = now()`,
      [node],
    );
    const life = `now() + $2 * interval '1 millisecond'`;
    // Nobody asks for so much: the clock was set back since, and the holder may be long dead.
    const tooLong = `now() + 2 * $2 * interval '1 millisecond'`;
    // What another process held is not ours as it is: as much of it as may be is taken over below.
    if (inherit) {
      await this.#queryAtOnce(`UPDATE partitions SET lease_until = '-infinity' WHERE owner = $1`, [node]);
    } else {
      await this.#queryAtOnce(
        `UPDATE partitions SET lease_until = ${life} WHERE owner = $1 AND lease_until > now()`,
        [node, leaseMs],
      );
    }
    const { rows } = await this.#queryAtOnce(
      `SELECT (SELECT draining FROM nodes WHERE id = $1) AS draining,
         (SELECT count(*)::int FROM nodes
           WHERE seen_at BETWEEN now() - $2 * interval '1 millisecond' AND ${life} AND NOT draining) AS nodes,
         (SELECT count(*)::int FROM partitions) AS partitions,
         (SELECT count(*)::int FROM partitions WHERE owner = $1 AND lease_until > now()) AS held,
         (SELECT (extract(epoch FROM min(lease_until) - now()) * 1000)::float8 FROM partitions
           WHERE owner <> $1 AND lease_until > now()) AS free`,
      [node, leaseMs],
    );
    const { draining, nodes, partitions, held, free } = rows[0] as {
      draining: boolean;
      nodes: number;
      partitions: number;
      held: number;
      free: number | null;
    };
    const share = draining ? 0 : Math.ceil(partitions / Math.max(nodes, 1));
    await this.#queryAtOnce(
      `UPDATE partitions SET owner = $1, epoch = epoch + 1, lease_until = ${life}
       WHERE id IN (
         SELECT id FROM partitions
         WHERE owner IS NULL OR lease_until <= now() OR lease_until > ${tooLong}
         ORDER BY (owner = $1) DESC NULLS LAST, random() LIMIT $3 FOR UPDATE SKIP LOCKED)`,
      [node, leaseMs, Math.max(share - held, 0)],
    );
    const { rows: leases } = await this.#queryAtOnce(
      'SELECT id AS partition, epoch FROM partitions WHERE owner = $1 AND lease_until > now() ORDER BY id',
      [node],
    );
    return { leases: leases as unknown as Lease[], share, freeInMs: free ?? Number.POSITIVE_INFINITY };
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

  /** Thousands of questions may wait, but here and not in the pool, where leases and the API would wait behind them. */
  async #query(text: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }> {
    return this.#slots.use(() => this.#queryAtOnce(text, values));
  }

  async #queryAtOnce(text: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }> {
    return this.#pool.query({ name: statementName(text) ?? '', text, values }).catch(rethrow);
  }
}

const selectActor = `SELECT kind, id, partition, machine_version AS "machineVersion", state, snapshot, input, effects,
  version, done, quarantined FROM actors`;

const selectMessage = `SELECT id, seq, partition, actor_kind AS kind, actor_id AS "actorId", event,
  reply_to AS "replyTo" FROM messages`;

/** Few actors ever are, and an index knows them. */
const notQuarantined = `(actor_kind, actor_id) NOT IN (SELECT kind, id FROM actors WHERE quarantined IS NOT NULL)`;

const toActor = (row: Record<string, unknown>) => row as unknown as ActorRow;

function toEnvelope({ replyTo, ...row }: Record<string, unknown>): Envelope {
  return { ...row, ...(replyTo !== null && { replyTo }) } as unknown as Envelope;
}
