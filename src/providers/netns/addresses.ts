import { type RawBuilder, sql } from 'kysely';
import { IpAddress } from '../../amphora-api/address.ts';
import { PlacementError, TerminalError } from '../../model/errors.ts';
import type { Queryable } from '../../store/database.ts';
import type { FixedIp, PortSpec } from '../network.ts';

type RequestedIp = NonNullable<PortSpec['fixedIps']>[number];

interface SubnetRange {
  id: string;
  cidr: string;
  gateway: string | null;
  /** First and last address that a port may have; neither the network's own nor broadcast. */
  first: string;
  last: string;
}

/**
 * Take addresses for a port. Allocations in one network wait for each other, so two never choose the same; the
 * primary key of `netns_addresses` would refuse it anyway.
 * @throws TerminalError `address_in_use`, `invalid_address`, `not_found`; PlacementError `no_address_left`
 */
export async function allocateAddresses(
  transaction: Queryable,
  port: { id: string; networkId: string },
  requested: RequestedIp[],
): Promise<FixedIp[]> {
  const subnets = await lockSubnets(transaction, port.networkId);
  const taken: FixedIp[] = [];
  for (const request of requested.length > 0 ? requested : [{}]) {
    const fixedIp =
      request.ipAddress === undefined
        ? await findFree(transaction, subnets, request.subnetId)
        : await checkRequested(transaction, subnets, request.ipAddress, request.subnetId);
    await transaction
      .insertInto('netns_addresses')
      .values({
        port_id: port.id,
        subnet_id: fixedIp.subnetId,
        ip_address: fixedIp.ipAddress,
        position: taken.length,
      })
      .execute();
    taken.push(fixedIp);
  }
  return taken;
}

/** How many addresses `allocateAddresses` could still take, by subnet. */
export async function countFree(db: Queryable, networkId: string): Promise<Map<string, number>> {
  const subnets = await db
    .selectFrom('netns_subnets')
    .select(({ selectFrom }) => [
      'id',
      sql<number>`(CASE family(cidr) WHEN 4 THEN 32 ELSE 128 END) - masklen(cidr)`.as('bits'),
      sql<number>`(gateway_ip IS NOT NULL)::int`.as('gateways'),
      selectFrom('netns_addresses')
        .whereRef('subnet_id', '=', 'netns_subnets.id')
        .select(sql<number>`count(*)::int`.as('taken'))
        .as('taken'),
    ])
    .where('network_id', '=', networkId)
    .execute();
  return new Map(
    subnets.map(({ id, bits, gateways, taken }) => [id, 2 ** bits - 2 - gateways - (taken ?? 0)]),
  );
}

/** The lowest address from `first` to `last` that `taken`, a query of one inet column, does not have. */
export async function lowestFree(
  db: Queryable,
  range: { first: string; last: string },
  taken: RawBuilder<unknown>,
): Promise<string | undefined> {
  const { rows } = await sql<{ address: string }>`
    WITH taken (address) AS (${taken}),
      candidates (address) AS (
        SELECT ${range.first}::inet
        UNION SELECT address + 1 FROM taken WHERE address >= ${range.first}::inet AND address < ${range.last}::inet)
    SELECT host(address) AS address FROM candidates
    WHERE address NOT IN (SELECT address FROM taken) ORDER BY candidates.address LIMIT 1`.execute(db);
  return rows[0]?.address;
}

function lockSubnets(transaction: Queryable, networkId: string): Promise<SubnetRange[]> {
  return transaction
    .selectFrom('netns_subnets')
    .select([
      'id',
      'cidr',
      'gateway_ip as gateway',
      sql<string>`host(host(network(cidr))::inet + 1)`.as('first'),
      sql<string>`host(host(broadcast(cidr))::inet - 1)`.as('last'),
    ])
    .where('network_id', '=', networkId)
    .orderBy(sql`family(cidr)`)
    .orderBy('cidr')
    .forNoKeyUpdate()
    .execute();
}

async function findFree(
  db: Queryable,
  subnets: SubnetRange[],
  subnetId: string | undefined,
): Promise<FixedIp> {
  const candidates = subnetId === undefined ? subnets : [subnetOf(subnets, subnetId)];
  for (const subnet of candidates) {
    const ipAddress = await lowestFree(
      db,
      subnet,
      sql`SELECT ip_address FROM netns_addresses WHERE subnet_id = ${subnet.id}
          UNION ALL SELECT ${subnet.gateway}::inet WHERE ${subnet.gateway}::inet IS NOT NULL`,
    );
    if (ipAddress !== undefined) return { subnetId: subnet.id, ipAddress };
  }
  throw new PlacementError(
    'no_address_left',
    `every address of ${candidates.map(({ cidr }) => cidr).join(', ') || 'the network, which has no subnet,'} is in use; delete ports or use a larger subnet`,
  );
}

async function checkRequested(
  db: Queryable,
  subnets: SubnetRange[],
  requested: string,
  subnetId: string | undefined,
): Promise<FixedIp> {
  if (!IpAddress.safeParse(requested).success) {
    throw new TerminalError('invalid_address', `${requested} is not an IP address`);
  }
  const candidates = subnetId === undefined ? subnets : [subnetOf(subnets, subnetId)];
  for (const subnet of candidates) {
    const { rows } = await sql<{ address: string; inside: boolean; used: boolean }>`
      SELECT host(requested) AS address,
        family(requested) = family(${subnet.first}::inet)
          AND requested BETWEEN ${subnet.first}::inet AND ${subnet.last}::inet AS inside,
        requested = ${subnet.gateway}::inet IS TRUE OR EXISTS (
          SELECT FROM netns_addresses WHERE subnet_id = ${subnet.id} AND ip_address = requested) AS used
      FROM (SELECT ${requested}::inet) AS request (requested)`.execute(db);
    const found = rows[0];
    if (!found?.inside) continue;
    if (found.used) {
      throw new TerminalError(
        'address_in_use',
        `${found.address} is in use; ask for another address or for none`,
      );
    }
    return { subnetId: subnet.id, ipAddress: found.address };
  }
  throw new TerminalError(
    'invalid_address',
    `${requested} is not an address for ports of ${candidates.map(({ cidr }) => cidr).join(', ') || 'this network'}`,
  );
}

function subnetOf(subnets: SubnetRange[], subnetId: string): SubnetRange {
  const subnet = subnets.find(({ id }) => id === subnetId);
  if (!subnet) throw new TerminalError('not_found', `the network has no subnet ${subnetId}`);
  return subnet;
}
