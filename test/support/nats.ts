import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PrivateNats } from '../../src/cli/up/private-nats.ts';

export interface TestNats {
  /** With credentials; connect through `natsOptions(url)`. */
  url: string;
  stop(): Promise<void>;
  /** Kill it and start it again at the same address, as after a crash, with `meanwhile` between the two. */
  restart(meanwhile?: () => Promise<void>): Promise<void>;
}

/** A real nats-server with JetStream for one test file. It ends with the test's process at the latest. */
export async function startTestNats(): Promise<TestNats> {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-nats-'));
  const server = new PrivateNats({ directory, log: join(directory, 'nats.log'), env: process.env });
  let child = await server.start();
  return {
    url: server.url,
    async stop() {
      await server.stop(child);
      rmSync(directory, { recursive: true, force: true });
    },
    async restart(meanwhile = async () => {}) {
      await child.stop('SIGKILL', 0);
      await meanwhile();
      child = await server.start();
    },
  };
}
