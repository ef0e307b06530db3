import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CLOSED,
  type FirewallInterface,
  type NftChain,
  type Ruleset,
  renderRuleset,
} from '../../agent/nftables/ruleset.ts';
import { rebuild, replace, type Transaction } from '../../agent/nftables/transaction.ts';
import { SecurityGroup } from '../../src/amphora-api/security-group.ts';
import { assertGolden } from '../support/golden.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-ruleset-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const INTERFACES: FirewallInterface[] = [
  { name: 'eth1', roles: ['vip', 'member'], filtered: true, addresses: ['10.0.0.7'], vips: ['10.0.0.5'] },
  { name: 'eth2', roles: ['member'], filtered: true, addresses: ['10.0.1.7'], vips: [] },
];

const GROUP = SecurityGroup.parse({
  revision: 4,
  vips: ['10.0.0.5', '10.0.0.6', '2001:db8::5'],
  rules: [
    {
      protocol: 'TCP',
      port: 80,
      allowed_cidrs: ['10.0.0.0/8', '10.1.0.0/16', '10.1.0.0/16', '11.0.0.0/8', '192.0.2.0/24'],
    },
    { protocol: 'TCP', port: 80, allowed_cidrs: ['2001:db8:1::/48'] },
    { protocol: 'TCP', port: 443 },
    { protocol: 'UDP', port: 53, allowed_cidrs: ['0.0.0.0/0'] },
    { protocol: 'SCTP', port: 3868, allowed_cidrs: [] },
  ],
  vrrp_peers: ['10.0.0.9', '2001:db8::9'],
  members: [
    { address: '10.0.1.20', port: 8080, protocol: 'TCP' },
    { address: '2001:0db8::20', port: 8080, protocol: 'TCP' },
    { address: '2001:db8::20', port: 8080, protocol: 'TCP' },
    { address: '10.0.1.21', port: 53, protocol: 'UDP' },
  ],
});

/** Apply transactions one after the other in a network namespace of their own; its table as nft lists it. */
function load(transactions: Transaction[]): string {
  const files = transactions.map((transaction, index) => {
    const file = join(directory, `${index}.nft`);
    writeFileSync(file, transaction);
    return file;
  });
  const script = 'for file; do nft -f "$file" || exit 1; done; nft -s list ruleset';
  return execFileSync('unshare', ['--net', 'sh', '-c', script, 'load', ...files], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
}

function steps(before: Ruleset, after: Ruleset): Transaction[] {
  const { preparation, change } = replace(before, after);
  return [preparation, change];
}

/** The table as one text that does not depend on the order in which its parts were made. */
function normalize(listing: string): string {
  return listing
    .split(/\n\n|^table inet amphora \{\n|\n\}\n$/)
    .map((part) =>
      part.includes('elements = ')
        ? part
            .split(/[\s,]+/)
            .sort()
            .join(' ')
        : part,
    )
    .sort()
    .join('\n\n');
}

test('the rules of a load balancer with everything', () => {
  assertGolden('firewall/full.nft', load([rebuild(renderRuleset(GROUP, INTERFACES))]));
});

test('the rules of a fresh amphora', () => {
  assertGolden('firewall/closed.nft', load([rebuild(renderRuleset(CLOSED, []))]));
});

test('the order of rules, CIDRs and members makes no difference', () => {
  const shuffled = {
    ...GROUP,
    vips: GROUP.vips.toReversed(),
    rules: GROUP.rules
      .toReversed()
      .map((rule) => ({ ...rule, allowed_cidrs: rule.allowed_cidrs?.toReversed() })),
    members: GROUP.members.toReversed(),
  };
  const [one, other] = [GROUP, shuffled].map((group) => load([rebuild(renderRuleset(group, INTERFACES))]));
  assert.is(normalize(one ?? ''), normalize(other ?? ''));
});

test('rules that overlap load in either order', () => {
  for (const allowed_cidrs of [
    ['10.0.0.0/8', '10.1.0.0/16'],
    ['10.1.0.0/16', '10.0.0.0/8'],
    ['10.0.0.0/9', '10.128.0.0/9'],
  ]) {
    const group = { ...CLOSED, rules: [{ protocol: 'TCP' as const, port: 80, allowed_cidrs }] };
    assert.match(load([rebuild(renderRuleset(group, INTERFACES))]), /ip saddr 10\.0\.0\.0\/8 counter/);
  }
});

test('whatever was loaded before, a change ends in the same table as a rebuild', () => {
  const states = [
    renderRuleset(CLOSED, []),
    renderRuleset(GROUP, INTERFACES.slice(0, 1)),
    renderRuleset({ ...GROUP, rules: GROUP.rules.slice(1), members: [] }, INTERFACES),
    renderRuleset({ ...GROUP, vrrp_peers: [] }, INTERFACES),
    renderRuleset(
      { ...GROUP, rules: [{ protocol: 'TCP', port: 443, allowed_cidrs: ['10.0.0.0/8'] }] },
      INTERFACES,
    ),
    renderRuleset({ ...CLOSED, vips: ['10.0.0.6'] }, INTERFACES.slice(1)),
  ];
  const rebuilt = states.map((state) => normalize(load([rebuild(state)])));
  for (const before of states) {
    for (const [index, after] of states.entries()) {
      assert.is(normalize(load([rebuild(before), ...steps(before, after)])), rebuilt[index]);
    }
  }
});

test('a chain that an earlier agent had at another hook moves', () => {
  const now = renderRuleset(GROUP, INTERFACES);
  const chains = now.chains.map(
    (chain): NftChain =>
      chain.name === 'input' && chain.base ? { ...chain, base: { ...chain.base, prio: 0 } } : chain,
  );
  const before = { ...now, chains };
  assert.is(normalize(load([rebuild(before), ...steps(before, now)])), normalize(load([rebuild(now)])));
});

test('what stays is not touched', () => {
  const before = renderRuleset(GROUP, INTERFACES);
  assert.equal(steps(before, before), ['', '']);
  const rules = [...GROUP.rules, { protocol: 'TCP' as const, port: 81, allowed_cidrs: ['10.0.0.0/8'] }];
  const text = steps(before, renderRuleset({ ...GROUP, rules }, INTERFACES)).join('');
  for (const name of ['input', 'vip', 'member', 'tcp-80', 'tcp-443']) {
    assert.not.match(text, new RegExp(`(chain|rule) inet amphora ${name}\\b(?!-)`));
  }
});

test('10,000 CIDRs are a set for each length that they have, not 10,000 rules', () => {
  const halves = Array.from({ length: 9_999 }, (_, index) => `10.${index >> 8}.${index & 255}.0/25`);
  const ruleset = restrictedTo([...halves, '192.0.2.1/32']);
  assert.is(ruleset.sets.find(({ name }) => name.startsWith('tcp-80-25-4-'))?.elem.length, 9_999);
  assert.equal(ruleset.chains.find(({ name }) => name === 'tcp-80')?.rules.slice(0, 2), [
    ['ip saddr 192.0.2.1', 'counter name "tcp-80-accepted"', 'accept'],
    [
      `ip saddr & 255.255.255.128 @${ruleset.sets.find(({ prefix }) => prefix === 25)?.name}`,
      'counter name "tcp-80-accepted"',
      'accept',
    ],
  ]);
  load([rebuild(ruleset)]);
});

test('CIDRs of so many lengths that asking for each would take longer are one set of intervals', () => {
  const networks = Array.from({ length: 32 }, (_, index) => `${index}.0.0.0/${8 + (index % 20)}`);
  const ruleset = restrictedTo(networks);
  assert.is(ruleset.sets.filter(({ name }) => name.startsWith('tcp-80-')).length, 1);
  assert.is(ruleset.sets.find(({ name }) => name.startsWith('tcp-80-4-'))?.flags, 'interval');
  load([rebuild(ruleset)]);
});

test('few listeners are compared, more are looked up', () => {
  const ruleset = (ports: number[]) =>
    renderRuleset(
      { ...GROUP, rules: ports.map((port) => ({ protocol: 'TCP' as const, port, allowed_cidrs: null })) },
      INTERFACES,
    );
  const lookUps = (ports: number[]) =>
    ruleset(ports)
      .chains.find(({ name }) => name === 'input')
      ?.rules.filter((rule) => rule.join(' ').includes('vmap @listeners')).length;
  assert.is(lookUps([80, 443]), 0);
  assert.is(lookUps([80, 443, 8_080]), 2);
  const [few, many] = [ruleset([80, 443]), ruleset([80, 443, 8_080])];
  assert.is(normalize(load([rebuild(many), ...steps(many, few)])), normalize(load([rebuild(few)])));
});

test('no rule asks for the state of a connection', () => {
  assert.not.match(load([rebuild(renderRuleset(GROUP, INTERFACES))]), /\bct\b/);
});

function restrictedTo(allowed_cidrs: string[]): ReturnType<typeof renderRuleset> {
  return renderRuleset({ ...GROUP, rules: [{ protocol: 'TCP', port: 80, allowed_cidrs }] }, INTERFACES);
}

test.run();
