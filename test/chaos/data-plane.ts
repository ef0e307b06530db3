import { execFileSync } from 'node:child_process';
import { basePortName, serverName, vipPortName } from '../../src/effects/names.ts';
import { hostLinkName, managementLinkName, namespaceName } from '../../src/providers/netns/names.ts';
import { loadGraph } from '../../src/store/load-balancer-graph.ts';
import { inAmphora, type Stand } from '../support/stand.ts';
import type { Entry } from './user.ts';

/** What the provider and the kernel have that belongs to no load balancer, or lack that belongs to one. */
export async function strayResources({ db, network, system }: Stand): Promise<string[]> {
  const amphorae = await db.selectFrom('amphorae').select(['id', 'load_balancer_id']).execute();
  const balancers = await db
    .selectFrom('load_balancers')
    .select('id')
    .where('provisioning_status', '<>', 'DELETED')
    .execute();
  // A request that died before its load balancer was stored left its port to housekeeping.
  const intents = await db.selectFrom('vip_intents').select('port_name').execute();
  const servers = await db.selectFrom('netns_servers').select(['id', 'name']).execute();
  const ports = await db.selectFrom('netns_ports').select(['id', 'name']).execute();
  const links = (bridge: string, pattern: RegExp) =>
    (JSON.parse(run('ip', '-json', 'link', 'show', 'master', bridge)) as { ifname: string }[])
      .map(({ ifname }) => ifname)
      .filter((name) => pattern.test(name));
  const spared = intents.map(({ port_name }) => port_name);
  const made = await db.selectFrom('actors').select('id').where('kind', '=', 'amphora').execute();
  const namespaces = run('ip', 'netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '');

  return [
    ...compare(
      'server',
      servers.map(({ name }) => name),
      amphorae.map(({ id }) => serverName(id)),
    ),
    ...compare(
      'port',
      ports.map(({ name }) => name).filter((name) => !spared.includes(name)),
      [...amphorae.map(({ id }) => basePortName(id)), ...balancers.map(({ id }) => vipPortName(id))],
    ),
    ...compare(
      'namespace',
      made.map(({ id }) => namespaceName(id)).filter((name) => namespaces.includes(name)),
      amphorae.map(({ id }) => namespaceName(id)),
    ),
    ...compare(
      'management link',
      links(system.config.netns_management_bridge, /^m[0-9a-f]{11}$/),
      servers.map(({ id }) => managementLinkName(id)),
    ),
    ...compare(
      'link',
      links(network.bridge, /^v[0-9a-f]{11}$/),
      ports.filter(({ name }) => name.startsWith('octavia-lb-vrrp-')).map(({ id }) => hostLinkName(id)),
    ),
  ];
}

/** Where an amphora does not do what its user was promised: its firewall admits, or its haproxy serves, something else. */
export async function wrongDataPlane({ db }: Stand, entries: Entry[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { id, wishes } of entries) {
    const ports = Object.keys(wishes.listeners);
    const openings = Object.entries(wishes.listeners).map(([port, cidrs]) => opening(port, cidrs));
    const servers = Object.entries(wishes.members).map(
      ([address, weight]) => `${address}:8080 weight ${weight}`,
    );
    for (const amphora of (await loadGraph(db, id))?.amphorae ?? []) {
      const where = `in amphora ${amphora.id} of ${id}:`;
      const configuration = runningConfiguration(amphora.id, id);
      problems.push(
        ...compare(`${where} opening`, openingsOf(amphora.id), openings),
        ...compare(`${where} frontend`, matches(configuration, /^ +bind \S+:(\d+)$/gm), ports),
        ...compare(
          `${where} server`,
          [...new Set(matches(configuration, /^ +server \S+ (\S+ weight \d+)/gm))],
          ports.length > 0 ? servers : [],
        ),
      );
    }
  }
  return problems;
}

const opening = (port: string, cidrs: string[] | null) =>
  `${port} from ${cidrs?.toSorted().join() ?? 'anywhere'}`;

/** What `nft -j list ruleset` says of a named set or map, and of a rule. */
interface NftObject {
  map?: { name: string; elem?: unknown[] };
  set?: { name: string; elem?: unknown[] };
  rule?: { chain: string; expr: { match?: NftMatch }[] };
}

interface NftMatch {
  op: string;
  left: { payload?: { protocol: string } };
  right: unknown;
}

/** The ports that the kernel lets in, each with the networks from which. */
function openingsOf(amphoraId: string): string[] {
  const { nftables } = JSON.parse(inAmphora(amphoraId, ['nft', '-j', 'list', 'ruleset'])) as {
    nftables: NftObject[];
  };
  const verdicts = nftables.find(({ map }) => map?.name === 'listeners')?.map?.elem ?? [];
  return (verdicts as [{ concat: [string, number] }, object][]).map(([{ concat }]) =>
    opening(String(concat[1]), sourcesOf(concat.join('-'), nftables)),
  );
}

/** A single network stands in the rule, several are a set. Null: anywhere. */
function sourcesOf(chain: string, nftables: NftObject[]): string[] | null {
  const rules = nftables.flatMap(({ rule }) => (rule?.chain === chain ? rule.expr : []));
  const source = rules.find(({ match }) => match?.op === '==' && match.left.payload?.protocol === 'ip')?.match
    ?.right;
  if (source === undefined) return null;
  if (typeof source !== 'string' || !source.startsWith('@')) return [network(source)];
  return nftables.find(({ set }) => set && `@${set.name}` === source)?.set?.elem?.map(network) ?? [];
}

function network(element: unknown): string {
  if (typeof element === 'string') return `${element}/32`;
  const { addr, len } = (element as { prefix: { addr: string; len: number } }).prefix;
  return `${addr}/${len}`;
}

/** What haproxy runs with; empty when it does not run. */
function runningConfiguration(amphoraId: string, loadBalancerId: string): string {
  const path = `/var/lib/octavia/${loadBalancerId}/haproxy.cfg.running`;
  return inAmphora(amphoraId, ['find', '/var/lib/octavia', '-path', path, '-exec', 'cat', '{}', ';']);
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, group]) => group ?? '');
}

function compare(what: string, actual: string[], expected: string[]): string[] {
  return [
    ...actual.filter((each) => !expected.includes(each)).map((each) => `${what} ${each} should not be`),
    ...expected.filter((each) => !actual.includes(each)).map((each) => `${what} ${each} is missing`),
  ];
}

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, encoding: 'utf8' });
}
