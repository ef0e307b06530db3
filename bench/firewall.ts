import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ListenerRule } from '../src/amphora-api/security-group.ts';
import { TestAmphora } from '../test/support/test-amphora.ts';
import { type BenchClient, BenchNetwork, CLIENT, EXCLUDED, type Slice } from './firewall-network.ts';
import { listenerRules, type NftFile, networks, none, ours, upstream } from './firewall-rules.ts';
import { percentiles, round } from './statistics.ts';

/**
 * What the firewall costs: connections per second with rules against without, also under a flood of SYN, and the time until
 * rules are in force. `none` is no rules against no rules: a ratio says nothing that is finer. Needs root, wrk and hping3.
 *
 * usage: bench/firewall.ts [rounds [connections|floods|pushes]]
 */
const rounds = Number(process.argv[2] ?? 25);

/**
 * Medians of each variant, and of its ratios to the mean of what no rules gave just before it and just after. The order is
 * another in each round. On a machine of one's own the rate is what counts; where others use it, the CPU time (µs).
 */
async function compare(variants: Record<string, NftFile>, client: BenchClient): Promise<object> {
  const taken = new Map(Object.keys(variants).map((name) => [name, [] as Pair[]]));
  let before = await client.slice(none);
  for (let each = 0; each < rounds; each += 1) {
    const order = [...taken].map((entry) => ({ entry, at: randomInt(2 ** 32) })).sort((a, b) => a.at - b.at);
    for (const { entry } of order) {
      const [name, pairs] = entry;
      const ours = await client.slice(variants[name] ?? none);
      const after = await client.slice(none);
      pairs.push({ ours, none: [before, after] });
      before = after;
    }
  }
  return Object.fromEntries([...taken].map(([name, pairs]) => [name, summary(pairs)]));
}

interface Pair {
  ours: Slice;
  none: [Slice, Slice];
}

function summary(pairs: Pair[]): object {
  const median = (key: keyof Slice) => percentiles(pairs.flatMap(({ ours }) => ours[key] ?? [])).p50;
  const ratio = (key: keyof Slice) => {
    const ratios = pairs
      .map(
        ({ ours, none: [before, after] }) =>
          (2 * (ours[key] ?? 0)) / ((before[key] ?? 0) + (after[key] ?? 0)),
      )
      .sort((a, b) => a - b);
    const at = (share: number) => round(ratios[Math.floor((ratios.length - 1) * share)] ?? Number.NaN);
    return { median: at(0.5), quartiles: [at(0.25), at(0.75)] };
  };
  const flooded = pairs.some(({ ours }) => ours.sent !== undefined);
  return {
    perSecond: median('perSecond'),
    rateRatio: ratio('perSecond'),
    cpu: median('cpu'),
    cpuRatio: ratio('cpu'),
    ...(flooded && { sent: median('sent'), cpuOfSyn: median('cpuOfSyn'), cpuOfSynRatio: ratio('cpuOfSyn') }),
  };
}

/** Namespace where nft alone replaces rules. */
const ALONE = `bench-${process.pid}-alone`;

const thousandLast = listenerRules(2, 1_000, 'last');

async function connections(network: BenchNetwork): Promise<object> {
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
  const compared = (port: number, variants: Record<string, NftFile>) =>
    network.withClient(port, (client) => compare(variants, client));
  return { byItself: await compared(80, byItself), throughToMember: await compared(81, through) };
}

async function floods(network: BenchNetwork): Promise<object> {
  const variants = { none, ours: ours(thousandLast), "Octavia's rules": upstream(thousandLast) };
  const under = (port: number, source: string, task: (client: BenchClient) => Promise<object>) =>
    network.flooded(port, source, () => network.withClient(80, task));
  const compared = (client: BenchClient) => compare(variants, client);
  return {
    closedPort: await under(9_999, EXCLUDED, compared),
    excludedSource: await under(80, EXCLUDED, compared),
    trackedUnderFloodFromAllowedSource: await under(80, CLIENT, async (client) => {
      const tracked = async (rules: NftFile) => {
        await client.slice(rules);
        return network.tracked();
      };
      return { ours: await tracked(variants.ours), "Octavia's rules": await tracked(upstream(thousandLast)) };
    }),
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

const parts = {
  connections: () => withNetwork(connections),
  floods: () => withNetwork(floods),
  pushes,
};

async function withNetwork(measure: (network: BenchNetwork) => Promise<object>): Promise<object> {
  const network = await BenchNetwork.start();
  try {
    return await measure(network);
  } finally {
    await network.stop();
  }
}

const chosen = process.argv[3];
const results: Record<string, object> = {};
for (const [part, measure] of Object.entries(parts)) {
  if (chosen === undefined || chosen === part) results[part] = await measure();
}
process.stdout.write(`${JSON.stringify({ rounds, ...results }, null, 2)}\n`);
