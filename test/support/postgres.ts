import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PrivatePostgres } from '../../src/cli/up/private-postgres.ts';
import { openDatabase } from '../../src/store/database.ts';
import { migrate } from '../../src/store/migrator.ts';

export interface TestPostgres {
  /** Connection string of an empty, migrated database. */
  url: string;
  stop(): Promise<void>;
}

/** A real PostgreSQL of its own for one test file; about a second. It ends with the test's process at the latest. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  const server = new PrivatePostgres({
    directory,
    log: join(directory, 'postgres.log'),
    maxConnections: 50,
    env: process.env,
    durable: false,
  });
  const child = await server.start();
  const { db, close } = openDatabase(server.url, { maxConnections: 1, applicationName: 'migrate' });
  await migrate(db).finally(close);
  return {
    url: server.url,
    async stop() {
      await server.stop(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
