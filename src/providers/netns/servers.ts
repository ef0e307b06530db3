import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { sql } from 'kysely';
import { PlacementError } from '../../model/errors.ts';
import type { Queryable } from '../../store/database.ts';
import type { ServerSpec } from '../compute.ts';
import { lowestFree } from './addresses.ts';
import { namespaceName, namespacePath } from './names.ts';
import { isUuid } from './ports.ts';

/** An amphora on this host. */
export interface NetnsServer {
  id: string;
  name: string;
  amphoraId: string;
  managementAddress: string;
  /** False while it is being made, and when who made it died. */
  started: boolean;
}

const columns = [
  'id',
  'name',
  'amphora_id as amphoraId',
  sql<string>`host(management_address)`.as('managementAddress'),
  'started',
] as const;

export function selectServers(db: Queryable) {
  return db.selectFrom('netns_servers').select(columns);
}

export async function findServer(db: Queryable, serverId: string): Promise<NetnsServer | undefined> {
  if (!isUuid(serverId)) return undefined;
  return selectServers(db).where('id', '=', serverId).executeTakeFirst();
}

/** Like `findServer`; who else builds or removes this server waits until the transaction ends. */
export async function lockServer(transaction: Queryable, serverId: string): Promise<NetnsServer | undefined> {
  if (!isUuid(serverId)) return undefined;
  // What freezes in the middle must not keep its successor out for longer than this.
  await sql`SET LOCAL idle_in_transaction_session_timeout = '60s'`.execute(transaction);
  return selectServers(transaction).where('id', '=', serverId).forUpdate().executeTakeFirst();
}

/**
 * Find the server of that name, or store a new one with a management address.
 * @throws PlacementError `no_valid_host`
 */
export async function placeServer(
  transaction: Queryable,
  serverId: string,
  spec: ServerSpec,
  host: { computeFlavors: string[]; capacity: number; managementCidr: string },
): Promise<NetnsServer> {
  // Counting and choosing an address hold for as long as nobody else adds a server.
  await sql`LOCK TABLE netns_servers IN SHARE ROW EXCLUSIVE MODE`.execute(transaction);
  const known = await selectServers(transaction).where('name', '=', spec.name).executeTakeFirst();
  if (known) return known;
  if (spec.computeFlavor !== undefined && !host.computeFlavors.includes(spec.computeFlavor)) {
    throw new PlacementError(
      'no_valid_host',
      `no host satisfies compute flavor ${spec.computeFlavor}; this one offers ${host.computeFlavors.join(', ')} (setting netns_compute_flavors)`,
    );
  }
  const { count } = await transaction
    .selectFrom('netns_servers')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (count >= host.capacity) {
    throw new PlacementError(
      'no_valid_host',
      `this host has its ${host.capacity} amphorae (setting netns_capacity)`,
    );
  }
  const management_address = await freeManagementAddress(transaction, host.managementCidr);
  return transaction
    .insertInto('netns_servers')
    .values({
      id: serverId,
      name: spec.name,
      amphora_id: spec.amphoraId,
      load_balancer_id: spec.loadBalancerId,
      management_address,
    })
    .returning(columns)
    .executeTakeFirstOrThrow();
}

async function freeManagementAddress(transaction: Queryable, cidr: string): Promise<string> {
  const { rows } = await sql<{ first: string; last: string }>`
    SELECT host(host(network(cidr))::inet + 2) AS first, host(host(broadcast(cidr))::inet - 1) AS last
    FROM (SELECT ${cidr}::inet) AS management (cidr)`.execute(transaction);
  const [range] = rows;
  const address =
    range && (await lowestFree(transaction, range, sql`SELECT management_address FROM netns_servers`));
  if (address === undefined) {
    throw new PlacementError(
      'no_valid_host',
      `every address of ${cidr} is in use (setting netns_management_cidr)`,
    );
  }
  return address;
}

/** The host's own address on the management network, with its prefix: the first one. */
export async function hostManagementAddress(db: Queryable, cidr: string): Promise<string> {
  const { rows } = await sql<{ address: string }>`
    SELECT text(set_masklen(host(network(cidr))::inet + 1, masklen(cidr))) AS address
    FROM (SELECT ${cidr}::inet) AS management (cidr)`.execute(db);
  return rows[0]?.address as string;
}

export const namespaceOf = (server: Pick<NetnsServer, 'amphoraId'>) => namespaceName(server.amphoraId);

export const namespaceExists = (server: Pick<NetnsServer, 'amphoraId'>) =>
  existsSync(namespacePath(namespaceOf(server)));

/** Where this host keeps what is of its amphorae, by amphora id. */
export const amphoraeDirectory = (dataDir: string) => join(resolve(dataDir), 'amphorae');

/** Where the agents of this host share their compiled code: it halves the time until an agent answers. */
export const codeCacheDirectory = (dataDir: string) => join(amphoraeDirectory(dataDir), 'code-cache');

/** Where an amphora keeps its state and its log on this host. */
export const directoryOf = (dataDir: string, server: Pick<NetnsServer, 'amphoraId'>) =>
  join(amphoraeDirectory(dataDir), server.amphoraId);
