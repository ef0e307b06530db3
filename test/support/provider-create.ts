import { once } from 'node:events';
import type { AgentClient } from '../../src/amphora-api/client.ts';
import type { Config } from '../../src/config.ts';
import type { ServerSpec } from '../../src/providers/compute.ts';
import { createNetnsProvider } from '../../src/providers/netns/provider.ts';
import { openDatabase } from '../../src/store/database.ts';

/** A controller process that creates one server and is killed while it does. */
interface Order {
  config: Config;
  spec: Omit<ServerSpec, 'files'>;
  files: Record<string, string>;
}

process.send?.('ready');
const [{ config, spec, files }] = (await once(process, 'message')) as [Order];
const { db } = openDatabase(config.database_url, { maxConnections: 2, applicationName: 'killed' });
const provider = createNetnsProvider({ db, config, agent: { close: async () => {} } as AgentClient });
await provider.compute.list({}, { signal: AbortSignal.timeout(10_000) });
process.send?.('creating');
await provider.compute.create({ ...spec, files: async () => files }, { signal: AbortSignal.timeout(30_000) });
