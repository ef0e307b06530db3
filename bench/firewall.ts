import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ListenerRule } from '../src/amphora-api/security-group.ts';
import { TestAmphora } from '../test/support/test-amphora.ts';
import { BenchNetwork, CLIENT, EXCLUDED } from './firewall-network.ts';
import { listenerRules, type NftFile, networks, none, ours, upstream } from './firewall-rules.ts';
import { percentiles, round } from './statistics.ts';

/**
 * What the firewall costs: connections per second with rules against without, also under a flood of SYN, and the time until
 * rules are in force. Needs root, wrk and hping3.
 *
 * usage: bench/firewall.ts [rounds]
 */
const rounds = Number(process.argv[2] ?? 15);

/** Median of each variant and of its ratios to the baseline of the same round; everything in an order of its own each time. */
async function compare(
  network: BenchNetwork,
  variants: Record<string, NftFile>,
  measure: () => Promise<number>,
): Promise<Record<string, { perSecond: number; ratio: number; quartiles: [number, number] }>> {
  const names = Object.keys(variants);
  const rates: Record<string, number>[] = [];
  for (let each = 0; each < rounds; each += 1) {
    const taken: Record<string, number> = {};
    const order = names
      .map((name) => ({ name, at: randomBytes(4).readUInt32BE() }))
      .sort((a, b) => a.at - b.at);
    for (const { name } of order) {
      network.load(variants[name] ?? none);
      taken[name] = await measure();
    }
    rates.push(taken);
  }
  const base = names[0] as string;
  return Object.fromEntries(
    names.map((name) => {
      const ratios = rates.map((taken) => (taken[name] ?? 0) / (taken[base] ?? 0)).sort((a, b) => a - b);
      const at = (share: number) => round(ratios[Math.floor((ratios.length - 1) * share)] ?? Number.NaN);
      const perSecond = Math.round(percentiles(rates.map((taken) => taken[name] ?? 0)).p50);
      return [name, { perSecond, ratio: at(0.5), quartiles: [at(0.25), at(0.75)] }];
    }),
  );
}

const thousandLast = listenerRules(2, 1_000, 'last');
const baselines = { none, 'none again': none };

async function connections(network: BenchNetwork): Promise<object> {
  const byItself = {
    ...baselines,
    '1,000 networks, first matches': ours(listenerRules(2, 1_000, 'first')),
    '1,000 networks, last matches': ours(thousandLast),
    'the only network matches': ours(listenerRules(2, 1, 'last')),
    '10 networks': ours(listenerRules(2, 10, 'last')),
    '10,000 networks': ours(listenerRules(2, 10_000, 'last')),
    '100 listeners of 10 networks': ours(listenerRules(100, 10, 'last')),
    "1,000 networks, last matches, Octavia's rules": upstream(thousandLast),
  };
  const through = {
    ...baselines,
    '1,000 networks, last matches': ours(thousandLast),
    '100 listeners of 10 networks': ours(listenerRules(100, 10, 'last')),
    "1,000 networks, last matches, Octavia's rules": upstream(thousandLast),
  };
  return {
    byItself: await compare(network, byItself, () => network.rate(80)),
    throughToMember: await compare(network, through, () => network.rate(81)),
  };
}

async function floods(network: BenchNetwork): Promise<object> {
  const variants = { ...baselines, ours: ours(thousandLast), "Octavia's rules": upstream(thousandLast) };
  const under = (port: number) => () => network.flooded(port, EXCLUDED, () => network.rate(80));
  const results = {
    closedPort: await compare(network, variants, under(9_999)),
    excludedSource: await compare(network, variants, under(80)),
  };
  const tracked = async (rules: NftFile) => {
    network.load(rules);
    await network.flooded(80, CLIENT, () => network.rate(80));
    return network.tracked();
  };
  return {
    ...results,
    trackedUnderFloodFromAllowedSource: {
      ours: await tracked(variants.ours),
      "Octavia's rules": await tracked(upstream(thousandLast)),
    },
  };
}

async function pushes(): Promise<object> {
  const amphora = await TestAmphora.start();
  try {
    const results: Record<string, object> = {};
    for (const count of [1, 100, 1_000, 10_000]) results[count] = await push(amphora, count);
    return results;
  } finally {
    await amphora.stop();
  }
}

let revision = 0;

/** As many rules in force by a new connection each time, other ones each time; nft alone with the same; others meanwhile. */
async function push(amphora: TestAmphora, count: number): Promise<object> {
  const times: Record<'agent' | 'nft' | 'info', number[]> = { agent: [], nft: [], info: [] };
  for (let each = 0; each < Math.min(rounds, 15); each += 1) {
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
    const { content } = ours(rules);
    writeFileSync(file, content);
    began = performance.now();
    execFileSync('unshare', ['--net', 'nft', '-j', '-f', file]);
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

const network = await BenchNetwork.start();
try {
  await network.rate(81);
  const result = {
    rounds,
    connections: await connections(network),
    floods: await floods(network),
    pushes: await pushes(),
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
  await network.stop();
}
