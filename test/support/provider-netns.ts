import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentClient } from '../../src/amphora-api/client.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import type { ServerSpec } from '../../src/providers/compute.ts';
import { linkExists } from '../../src/providers/netns/ip.ts';
import {
  guestLinkName,
  hostLinkName,
  namespaceName,
  namespacePath,
} from '../../src/providers/netns/names.ts';
import { createNetnsProvider, type NetnsProvider } from '../../src/providers/netns/provider.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { startTestPostgres } from './postgres.ts';

/** A netns provider with a database, a data directory and a management network of its own. */
export interface NetnsTestBed {
  provider: NetnsProvider;
  db: Db;
  config: Config;
  /** Another provider on the same database and host, as another controller process has it, perhaps set otherwise. */
  another(settings?: Partial<Config>): NetnsProvider;
  /** Remove all that the provider made, and everything else. */
  close(): Promise<void>;
}

export async function openNetnsTestBed(settings: Partial<Config> = {}): Promise<NetnsTestBed> {
  const postgres = await startTestPostgres();
  const { db, close } = openDatabase(postgres.url, { maxConnections: 8, applicationName: 'test' });
  const config = netnsTestConfig({
    data_dir: mkdtempSync(join(tmpdir(), 'amphorae-netns-')),
    database_url: postgres.url,
    ...settings,
  });
  const another = (changes: Partial<Config> = {}) =>
    createNetnsProvider({ db, config: { ...config, ...changes }, agent: noAgent });
  const provider = another();
  return {
    provider,
    db,
    config,
    another,
    async close() {
      try {
        await provider.destroyAll();
      } finally {
        await close();
        await postgres.stop();
        rmSync(config.data_dir, { recursive: true, force: true });
      }
    },
  };
}

let beds = 0;

/** Settings whose names do not meet those of another test that runs at the same time. */
function netnsTestConfig(settings: Partial<Config>): Config {
  beds += 1;
  const tag = (((process.pid & 0xfff) << 4) | beds).toString(16);
  return loadConfig(
    {
      netns_management_bridge: `tm-${tag}`,
      netns_management_cidr: `fd61:6d70:${tag}::/64`,
      netns_bridge_prefix: 'tn',
      ...settings,
    },
    {},
  );
}

/** These tests speak to agents themselves, or not at all. */
const noAgent = { close: async () => {} } as AgentClient;

/** What the host still has of a server, its ports, and anything on the management network of this test bed. */
export function remainsOf(
  { config }: NetnsTestBed,
  { amphoraId, portIds }: Pick<ServerSpec, 'amphoraId' | 'portIds'>,
): string[] {
  const namespace = namespaceName(amphoraId);
  const managed = `/sys/class/net/${config.netns_management_bridge}/brif`;
  return [
    ...[namespacePath(namespace), join(config.data_dir, 'amphorae', amphoraId)].filter(existsSync),
    ...portIds.flatMap((id) => [hostLinkName(id), guestLinkName(id)]).filter(linkExists),
    ...(existsSync(managed) ? readdirSync(managed) : []),
  ];
}
