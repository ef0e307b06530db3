import pg from 'pg';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { ActorKind } from '../../src/machines/address.ts';

/** Advisory lock on which held transactions wait. */
const LOCK = 4711;

/**
 * Keeps an actor from leaving a state: the commit that would take it out waits in the database, after all that the state
 * does has been done. So a controller can be killed at the worst moment of every state.
 */
export class Hold {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<Hold> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`
      CREATE TABLE IF NOT EXISTS test_hold (kind text, state text);
      CREATE OR REPLACE FUNCTION test_hold() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF EXISTS (SELECT 1 FROM test_hold WHERE kind = OLD.kind AND state = OLD.state) THEN
          PERFORM pg_advisory_xact_lock_shared(${LOCK});
          RAISE EXCEPTION 'held in %', OLD.state;
        END IF;
        RETURN NEW;
      END $$;
      CREATE OR REPLACE TRIGGER test_hold BEFORE UPDATE ON actors FOR EACH ROW
        WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION test_hold();
      SELECT pg_advisory_lock(${LOCK});`);
    return new Hold(client);
  }

  /** Let no actor of the kind leave the state from now on. */
  async set(kind: ActorKind, state: string): Promise<void> {
    await this.#client.query('INSERT INTO test_hold VALUES ($1, $2)', [kind, state]);
  }

  /** Resolves when one wants to leave. */
  async reached(): Promise<void> {
    await waitFor('an actor to be held', 30, async () =>
      (await this.#held()).length > 0 ? true : undefined,
    );
  }

  /** Let all go. What waited is undone, as if the process that asked for it had died just before. */
  async release(): Promise<void> {
    await this.#client.query('DELETE FROM test_hold');
    for (const pid of await this.#held()) await this.#client.query('SELECT pg_terminate_backend($1)', [pid]);
  }

  async close(): Promise<void> {
    await this.release();
    await this.#client.end();
  }

  async #held(): Promise<number[]> {
    const { rows } = await this.#client.query<{ pid: number }>(
      `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = ${LOCK} AND NOT granted`,
    );
    return rows.map(({ pid }) => pid);
  }
}
