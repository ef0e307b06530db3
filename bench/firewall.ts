import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ListenerRule } from '../src/amphora-api/security-group.ts';
import { TestAmphora } from '../test/support/test-amphora.ts';
import { BenchClient, type Turn } from './firewall-client.ts';
import { BenchNetwork, CLIENT, EXCLUDED, type Flood } from './firewall-network.ts';
import { listenerRules, type NftFile, networks, none, ours, upstream } from './firewall-rules.ts';
import { percentiles, round } from './statistics.ts';

/**
 * What the firewall costs: connections per second with rules against without, also under a flood of SYN, and the time until
 * rules are in force. Two networks take turns of 30 ms, one with rules and one without, and change places half-way through each
 * round. A ratio stands with its limits of 95 % confidence; `none` is no rules against no rules. Needs root, wrk and hping3.
 *
 * usage: bench/firewall.ts [rounds [connections|floods|pushes]]
 */
const rounds = Number(process.argv[2] ?? 15);
/** Pairs of turns in each of the two places in a round. */
const PAIRS = 20;

/** A network, and what connects there. */
interface Side {
  network: BenchNetwork;
  client: BenchClient;
}

/** What was seen of each variant, and its ratios to no rules; in an order of its own each round. */
async function compare(variants: Record<string, NftFile>, sides: [Side, Side]): Promise<object> {
  const seen = new Map(Object.keys(variants).map((name) => [name, [[], []] as [Pair[], Pair[]]]));
  const [one, other] = sides;
  await BenchClient.alternate(one.client, other.client, PAIRS);
  for (let each = 0; each < rounds; each += 1) {
    const order = [...seen].map((entry) => ({ entry, at: randomInt(2 ** 32) })).sort((a, b) => a.at - b.at);
    for (const { entry } of order) {
      const [name, [here, there]] = entry;
      const rules = variants[name] ?? none;
      here.push(...(await against(rules, one, other)));
      there.push(...(await against(rules, other, one)));
    }
  }
  return Object.fromEntries([...seen].map(([name, places]) => [name, summary(places)]));
}

/** What was seen with the rules, and without just before or after. */
type Pair = [ours: Turn, none: Turn];

async function against(rules: NftFile, filtered: Side, open: Side): Promise<Pair[]> {
  filtered.network.load(rules);
  open.network.load(none);
  return BenchClient.alternate(filtered.client, open.client, PAIRS);
}

/** Medians, because whoever else uses the machine takes a turn's CPU now and then. */
function summary(places: [Pair[], Pair[]]): object {
  const all = places.flat();
  const median = (key: keyof Turn) => percentiles(all.flatMap(([ours]) => ours[key] ?? [])).p50;
  const ratio = (key: keyof Turn) => {
    const sorted = places.map((pairs) =>
      pairs.map(([ours, none]) => (ours[key] ?? 0) / (none[key] ?? 0)).sort((a, b) => a - b),
    );
    // The geometric mean of both: what one of the networks has before the other cancels out.
    const at = (rank: (count: number) => number) =>
      thousandths(
        Math.sqrt(sorted.reduce((mean, ratios) => mean * (ratios[Math.round(rank(ratios.length))] ?? 0), 1)),
      );
    // 95 % confidence of a median by rank, of two of them together: z = 1.96 / sqrt(2) standard deviations of each.
    const aside = (count: number) => (1.96 / Math.SQRT2) * Math.sqrt(count / 4);
    return {
      median: at((count) => (count - 1) / 2),
      between: [at((count) => (count - 1) / 2 - aside(count)), at((count) => (count - 1) / 2 + aside(count))],
    };
  };
  return {
    perSecond: median('perSecond'),
    rateRatio: ratio('perSecond'),
    cpu: median('cpu'),
    cpuRatio: ratio('cpu'),
    ...(all.some(([ours]) => ours.sent !== undefined) && {
      sent: median('sent'),
      cpuOfSyn: median('cpuOfSyn'),
      cpuOfSynRatio: ratio('cpuOfSyn'),
    }),
  };
}

const thousandths = (value: number) => Math.round(value * 1_000) / 1_000;

/** Namespace where nft alone replaces rules. */
const ALONE = `bench-${process.pid}-alone`;

const thousandLast = listenerRules(2, 1_000, 'last');

async function connections(): Promise<object> {
  const byItself = {
    none,
    '1,000 networks, first matches': ours(listenerRules(2, 1_000, 'first')),
    '1,000 networks, last matches': ours(thousandLast),
    'the only network matches': ours(listenerRules(2, 1, 'last')),
    '10 networks': ours(listenerRules(2, 10, 'last')),
    '10,000 networks': ours(listenerRules(2, 10_000, 'last')),
    '100 listeners of 10 networks': ours(listenerRules(100, 10, 'last')),
    "1,000 networks, last matches, Octavia's rules": upstream(thousandLast),
  };
  const through = {
    none,
    '1,000 networks, last matches': ours(thousandLast),
    '100 listeners of 10 networks': ours(listenerRules(100, 10, 'last')),
    "1,000 networks, last matches, Octavia's rules": upstream(thousandLast),
  };
  return {
    byItself: await withSides({ port: 80 }, (sides) => compare(byItself, sides)),
    throughToMember: await withSides({ port: 81 }, (sides) => compare(through, sides)),
  };
}

async function floods(): Promise<object> {
  const variants = { none, ours: ours(thousandLast), "Octavia's rules": upstream(thousandLast) };
  const under = (flood: Flood) => withSides({ port: 80, flood }, (sides) => compare(variants, sides));
  return {
    closedPort: await under({ port: 9_999, source: EXCLUDED }),
    excludedSource: await under({ port: 80, source: EXCLUDED }),
    trackedUnderFloodFromAllowedSource: await withSides(
      { port: 80, flood: { port: 80, source: CLIENT } },
      async ([one, other]) => {
        const tracked = async (rules: NftFile) => {
          await against(rules, one, other);
          return one.network.tracked();
        };
        return {
          ours: await tracked(variants.ours),
          "Octavia's rules": await tracked(upstream(thousandLast)),
        };
      },
    ),
  };
}

async function pushes(): Promise<object> {
  const amphora = await TestAmphora.start();
  execFileSync('ip', ['netns', 'add', ALONE]);
  try {
    const results: Record<string, object> = {};
    for (const count of [1, 100, 1_000, 10_000]) results[count] = await push(amphora, count);
    return results;
  } finally {
    execFileSync('ip', ['netns', 'delete', ALONE]);
    await amphora.stop();
  }
}

let revision = 0;

/** As many rules in force by a new connection each time, other ones each time; nft alone with the same; others meanwhile. */
async function push(amphora: TestAmphora, count: number): Promise<object> {
  const times: Record<'agent' | 'nft' | 'info', number[]> = { agent: [], nft: [], info: [] };
  for (let each = 0; each < rounds; each += 1) {
    const rules: ListenerRule[] = networks(count + each, 'below')
      .slice(each)
      .map((cidr, index) => ({ protocol: 'TCP', port: 80 + (index % 100), allowed_cidrs: [cidr] }));
    revision += 1;
    const group = { revision, vips: ['10.250.0.1'], vrrp_peers: [], members: [], rules };
    const client = await amphora.clientNamed('amphorae-controller');
    let began = performance.now();
    await client.setSecurityGroup(amphora.target(), group);
    times.agent.push(performance.now() - began);
    await client.close();

    const file = join(amphora.directory, 'rules');
    writeFileSync(file, ours(rules));
    began = performance.now();
    execFileSync('ip', ['netns', 'exec', ALONE, 'nft', '-f', file]);
    times.nft.push(performance.now() - began);

    const pushed = amphora.client.setSecurityGroup(amphora.target(), {
      ...group,
      rules: rules.slice(1),
      revision,
    });
    began = performance.now();
    await amphora.call('GET', '/1.0/info');
    times.info.push(performance.now() - began);
    await pushed;
  }
  const [agent, nft, info] = [times.agent, times.nft, times.info].map(percentiles);
  return { agent, nft, ratio: round((agent?.p50 ?? 0) / (nft?.p50 ?? 0)), infoMeanwhile: info };
}

/** Two networks, and a client in each. */
async function withSides<T>(
  { port, flood }: { port: number; flood?: Flood },
  measure: (sides: [Side, Side]) => Promise<T>,
): Promise<T> {
  const networks: BenchNetwork[] = [];
  const side = async (name: string): Promise<Side> => {
    const network = await BenchNetwork.start(name);
    networks.push(network);
    return { network, client: network.client(port, flood) };
  };
  try {
    return await measure([await side('one'), await side('other')]);
  } finally {
    for (const network of networks) await network.stop();
  }
}

const parts = { connections, floods, pushes };
const chosen = process.argv[3];
const results: Record<string, object> = {};
for (const [part, measure] of Object.entries(parts)) {
  if (chosen === undefined || chosen === part) results[part] = await measure();
}
process.stdout.write(`${JSON.stringify({ rounds, ...results }, null, 2)}\n`);
